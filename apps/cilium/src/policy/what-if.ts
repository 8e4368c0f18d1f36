import { addOutputFlag, checkOutput, clean, ExitCode, type OutputOptions, show, tableText, UsageError } from "@cilium-ts/command-line";
import { type PolicyCluster, policyWorldOf, policyWorldWith, readPolicyCluster } from "@cilium-ts/kubernetes";
import type { PolicyWorld } from "@cilium-ts/policy";
import { type ObservedEnd, WhatIf, type WhatIfReport } from "@cilium-ts/policy-advice";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { addFlowFlags, type FlowOptions, readObservations } from "./flow-source.ts";
import { readPolicyFiles } from "./policy-files.ts";

interface WhatIfFlags extends OutputOptions, FlowOptions {
  readonly filename?: readonly string[];
  readonly delete?: readonly string[];
  readonly exitCode?: boolean;
}

/** With --exit-code: some flow's verdict would change. */
const changedExitCode = 2;

export function addWhatIf(group: Command, context: Context): void {
  const command = group
    .command("what-if")
    .description("List the recorded flows whose verdict would change if policies were applied or deleted")
    .option("-f, --filename <file...>", "Policies that would be applied")
    .option("--delete <policy...>", "Policies that would be deleted: KIND/NAMESPACE/NAME, KIND/NAME or NAMESPACE/NAME")
    .option("--exit-code", `End with ${changedExitCode} when a verdict would change`);
  addFlowFlags(addOutputFlag(command), "1h").action(async (options: WhatIfFlags) => {
    checkOutput(options);
    if (options.filename === undefined && options.delete === undefined)
      throw new UsageError("nothing would change: name policies with --filename or --delete");
    const cluster = await readPolicyCluster(await context.cluster(), { namespace: context.namespace, signal: context.stopped });
    const before = policyWorldOf(cluster);
    const whatIf = new WhatIf({ before, after: changedWorld(cluster, options, context), namedPortsOf: namedPortsIn(cluster) });
    for await (const observation of readObservations(options, context)) whatIf.add(observation);
    const report = whatIf.report();
    show(context, options, report, () => reportText(report));
    if (options.exitCode === true && report.changed.length > 0) throw new ExitCode(changedExitCode);
  });
}

function changedWorld(cluster: PolicyCluster, options: WhatIfFlags, { world }: Context): PolicyWorld {
  const files = readPolicyFiles(options.filename ?? [], cluster.settings.clusterName);
  if (files.otherKinds.size > 0)
    world.stderr.write(`cilium: objects that are no policies are left aside: ${clean([...files.otherKinds].sort().join(", "))}\n`);
  const policies = new Map(cluster.policies);
  for (const text of options.delete ?? []) policies.delete(policyNamed(policies, text));
  return policyWorldWith({ ...cluster, policies }, files);
}

function policyNamed(policies: ReadonlyMap<string, unknown>, text: string): string {
  const found = [...policies.keys()].filter((key) => key === text || key.slice(key.indexOf("/") + 1) === text);
  const [first, second] = found;
  if (first === undefined) throw new UsageError(`--delete: there is no valid policy ${text} in the cluster; write KIND/NAMESPACE/NAME`);
  if (second !== undefined) throw new UsageError(`--delete: ${text} may be ${found.join(" or ")}: write which`);
  return first;
}

/** Of the pods that are there now. */
function namedPortsIn({ pods }: PolicyCluster): (end: ObservedEnd) => PolicyCluster["pods"][number]["namedPorts"] {
  const byName = new Map(pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod.namedPorts]));
  return ({ namespace, podName }) => byName.get(`${namespace}/${podName}`) ?? [];
}

function reportText({ flows, unchanged, changed, recordedOtherwise, notJudged }: WhatIfReport): string {
  const rows = changed.map(({ from, to, protocol, port, before, after, count, because }) =>
    [from, to, `${port}/${protocol}`, before, after, String(count), because].map(clean),
  );
  const table = rows.length === 0 ? "" : `${tableText([["FROM", "TO", "PORT", "NOW", "THEN", "FLOWS", "BECAUSE"], ...rows])}\n`;
  const changedCount = changed.reduce((sum, { count }) => sum + count, 0);
  const skipped = notJudged.reduce((sum, { count }) => sum + count, 0);
  const lines = [
    `${flows} flows: ${changedCount} would get another verdict, ${unchanged} the same, ${skipped} could not be judged`,
    ...notJudged.map(({ reason, count }) => `  ${count} not judged: ${clean(reason)}`),
    ...(recordedOtherwise === 0 ? [] : [`  ${recordedOtherwise} were recorded under other policies than those of now, or in audit mode`]),
  ];
  return `${table}${lines.join("\n")}\n`;
}
