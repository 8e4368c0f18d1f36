import { addOutputFlag, checkOutput, clean, ExitCode, type OutputOptions, show, UsageError } from "@cilium-ts/command-line";
import { type PolicyCluster, readPolicyCluster } from "@cilium-ts/kubernetes";
import { createObjectChecker, readCiliumDefinitions, readPolicyApiDefinitions } from "@cilium-ts/kubernetes-server/check";
import { formatPrefix, parsePrefix } from "@cilium-ts/net";
import type { LintCluster } from "@cilium-ts/policy-advice";
import type { Command } from "commander";
import type { Context } from "../context.ts";
import { type FileFinding, type LintWorld, lintManifests } from "./lint-manifests.ts";
import { readManifests } from "./policy-files.ts";

interface LintFlags extends OutputOptions {
  readonly cluster?: boolean;
  readonly podCidr: readonly string[];
}

const errorExitCode = 1;
const warningExitCode = 2;

export function addLint(group: Command, context: Context): void {
  const command = group
    .command("lint")
    .description("Find what the API server would reject, and what is valid and surely not meant")
    .argument("<files...>", "Manifests, - for standard input")
    .option("--cluster", "Compare with the cluster, too: its pods, namespaces, services and other policies")
    .option("--pod-cidr <cidr...>", "Where pods have their addresses from, without a cluster that says so", [])
    .addHelpText(
      "after",
      `\nEnds with ${errorExitCode} when something would be rejected, with ${warningExitCode} when something is surely not meant.`,
    );
  addOutputFlag(command).action(async (files: readonly string[], options: LintFlags) => {
    checkOutput(options);
    const read = files.map((path) => ({ path, manifests: readManifests(path) }));
    const findings = lintManifests(read, await lintWorld(options, context));
    show(context, options, findings, () => findings.map(findingLine).join(""));
    if (findings.some(({ severity }) => severity === "error")) throw new ExitCode(errorExitCode);
    if (findings.length > 0) throw new ExitCode(warningExitCode);
  });
}

async function lintWorld(options: LintFlags, context: Context): Promise<LintWorld> {
  const check = createObjectChecker([...readCiliumDefinitions(), ...readPolicyApiDefinitions()]);
  const podCidrs = options.podCidr.map((text) => {
    const prefix = parsePrefix(text);
    if (prefix === undefined) throw new UsageError(`--pod-cidr ${JSON.stringify(text)} is no prefix such as 10.0.0.0/16`);
    return formatPrefix(prefix);
  });
  if (options.cluster !== true) return { check, clusterName: "default", policies: new Map(), context: { podCidrs } };
  const cluster = await readPolicyCluster(await context.cluster(), { namespace: context.namespace, signal: context.stopped });
  const { settings, policies } = cluster;
  return {
    check,
    clusterName: settings.clusterName,
    policies,
    context: { podCidrs: [...podCidrs, ...cluster.podCidrs], cluster: clusterContext(cluster) },
  };
}

function clusterContext(cluster: PolicyCluster): LintCluster {
  const { pods, namespaces, nodes, nodeAddresses, tunnelled, serviceAddresses, cidrGroups, services } = cluster;
  return { pods, namespaces, nodes, nodeAddresses, tunnelled, serviceAddresses, cidrGroups, services };
}

/** As compilers write it, so that editors find the place. */
function findingLine({ file, line, column, severity, check, path, message }: FileFinding): string {
  return `${clean(`${file}:${line}:${column}: ${severity}: ${path === "" ? "" : `${path}: `}${message} [${check}]`)}\n`;
}
