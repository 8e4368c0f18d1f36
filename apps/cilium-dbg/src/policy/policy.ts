import { setTimeout } from "node:timers/promises";
import type { SelectorIdentityMapping, WrittenExplanation } from "@cilium-ts/agent-api";
import {
  addOutputFlag,
  checkOutput,
  clean,
  jsonText,
  type OutputOptions,
  show,
  stackedRows,
  tableText,
  UsageError,
} from "@cilium-ts/command-line";
import { explainedProtocols, explanationLines, remediesOf } from "@cilium-ts/policy-advice";
import type { Command } from "commander";
import { stringify } from "yaml";
import type { Context } from "../context.ts";

const partyHelp =
  "A pod (NAMESPACE/NAME, or the number of an endpoint of this node), labels (app=web,k8s:tier=front), identity:NUMBER, a reserved name (world, host) or an address";

export function addPolicy(program: Command, context: Context): void {
  const group = program.command("policy").description("Policies in force");
  const get = group.command("get").description("Show all rules in force");
  addOutputFlag(get).action(async (options: OutputOptions) => {
    checkOutput(options);
    const { policy = "[]", revision = 0 } = await context.agent.policy(context.signal);
    const rules: unknown = JSON.parse(policy);
    show(context, options, { policy: rules, revision }, () => `${jsonText(rules)}Revision: ${revision}\n`);
  });
  group
    .command("wait")
    .description("Wait until all endpoints have the policy of a revision")
    .argument("<revision>", "As policy get shows it")
    .option("--max-wait-time <seconds>", "How long, at most", "360")
    .action((revision: string, options: { maxWaitTime: string }) => waitForRevision(context, revision, options.maxWaitTime));
  const selectors = group.command("selectors").description("Show the selectors of rules and the identities that they match");
  addOutputFlag(selectors).action(async (options: OutputOptions) => {
    checkOutput(options);
    const mappings = await context.agent.policySelectors(context.signal);
    show(context, options, mappings, () => selectorTable(mappings));
  });
  const explain = group
    .command("explain")
    .description("Say why the one may or may not talk to the other, and what would change it")
    .argument("<from>", partyHelp)
    .argument("<to>", "As before")
    .argument("<port>", `PORT or PORT/PROTOCOL (${explainedProtocols.join(", ")}); of ICMP the type`)
    .option("--remedy", "Only the smallest policies that would allow it, for kubectl apply");
  addOutputFlag(explain).action(async (from: string, to: string, port: string, options: OutputOptions & { remedy?: boolean }) => {
    checkOutput(options);
    const explanation = await context.agent.explainPolicy({ from, to, ...parsePort(port) }, context.signal);
    if (options.remedy === true) context.write(remedyText(explanation));
    else show(context, options, explanation, () => explanationText(explanation));
  });
}

function explanationText(explanation: WrittenExplanation): string {
  const written = (policy: object): string[] => stringify(policy, { lineWidth: 0 }).trimEnd().split("\n");
  return `${explanationLines(explanation, written).map(clean).join("\n")}\n`;
}

/** For `kubectl apply`. */
function remedyText(explanation: WrittenExplanation): string {
  const remedies = remediesOf(explanation);
  if (typeof remedies === "string") throw new UsageError(remedies);
  return remedies.map((remedy) => `---\n${stringify(remedy, { lineWidth: 0 })}`).join("");
}

const pollIntervalMs = 100;

async function waitForRevision(context: Context, text: string, seconds: string): Promise<void> {
  if (!/^[0-9]{1,15}$/.test(text)) throw new UsageError(`revision ${JSON.stringify(text)} is no number`);
  if (!/^[0-9]{1,5}$/.test(seconds)) throw new UsageError(`--max-wait-time ${JSON.stringify(seconds)} is no number of seconds`);
  const wanted = Number(text);
  const end = performance.now() + Number(seconds) * 1_000;
  for (;;) {
    const endpoints = await context.agent.endpoints(context.stopped);
    const behind = endpoints.filter(({ status }) => (status?.policy?.realized?.["policy-revision"] ?? 0) < wanted);
    if (behind.length === 0) return;
    if (performance.now() >= end)
      throw new UsageError(
        `endpoint ${behind[0]?.id} and ${behind.length - 1} others have no policy of revision ${wanted} after ${seconds} s`,
      );
    await setTimeout(pollIntervalMs, undefined, { signal: context.stopped });
  }
}

function parsePort(text: string): { protocol: string; port: number } {
  const match = /^([0-9]{1,5})(?:\/([A-Za-z0-9]+))?$/.exec(text);
  if (match === null) throw new UsageError(`port ${JSON.stringify(text)} is neither PORT nor PORT/PROTOCOL, such as 80/TCP`);
  return { port: Number(match[1]), protocol: match[2] ?? "TCP" };
}

function selectorTable(mappings: readonly SelectorIdentityMapping[]): string {
  const rows = mappings.flatMap(({ selector = "", labels = [], users = 0, identities = [] }) => {
    const name = labels.find(({ key }) => key === "io.cilium.k8s.policy.name")?.value ?? "";
    const namespace = labels.find(({ key }) => key === "io.cilium.k8s.policy.namespace")?.value ?? "";
    return stackedRows([selector, namespace === "" ? name : `${namespace}/${name}`, String(users), identities.map(String)]);
  });
  return tableText([["SELECTOR", "LABELS", "USERS", "IDENTITIES"], ...rows]);
}
