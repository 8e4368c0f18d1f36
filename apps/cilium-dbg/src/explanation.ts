import type { ExplainedDirection, ExplainedParty, ExplainedPolicy, PolicyExplanation } from "@cilium-ts/agent-api";
import { clean, UsageError } from "@cilium-ts/command-line";
import { stringify } from "yaml";

/** The verdict first, then who they are, then each direction with its reasons. */
export function explanationText({ from, to, protocol, port, verdict, egress, ingress }: PolicyExplanation): string {
  const what = protocol.startsWith("ICMP") ? `${protocol} type ${port}` : `port ${port}/${protocol}`;
  const lines = [
    `Verdict: ${verdict} (${what})`,
    "",
    ...partyLines("From", from),
    ...partyLines("To", to),
    "",
    ...directionLines("Egress", "sender", egress),
    "",
    ...directionLines("Ingress", "receiver", ingress),
  ];
  return `${lines.map(clean).join("\n")}\n`;
}

function partyLines(name: string, { identity, labels, endpoint, pod, address }: ExplainedParty): string[] {
  const known = [pod ?? address, endpoint === undefined ? undefined : `endpoint ${endpoint}`, `identity ${identity}`];
  return [`${`${name}:`.padEnd(6)}${known.filter((part) => part !== undefined).join(", ")}`, ...labels.map((label) => `        ${label}`)];
}

function directionLines(name: string, side: string, direction: ExplainedDirection): string[] {
  const { verdict, audited, reason, rules, policies, match, changes, remedy } = direction;
  return [
    `${name} (policies of the ${side}): ${verdict}${audited === true && verdict !== "allowed" ? ", and only audited: it passes" : ""}`,
    `  ${reason}`,
    ...list(
      "Deciding rules",
      rules.map((rule) => `${policyText(rule)}${rule.path === "" ? "" : ` at ${rule.path}`}`),
      `match ${match}`,
    ),
    ...list("Policies that select it", policies.map(policyText)),
    ...list("What would change it", changes),
    ...(remedy === undefined ? [] : ["  The smallest policy that would allow it:", ...yamlLines(remedy)]),
  ];
}

function yamlLines(value: unknown): string[] {
  return stringify(value, { lineWidth: 0 })
    .trimEnd()
    .split("\n")
    .map((line) => `    ${line}`);
}

/** The policies that together would let the packet through, for `kubectl apply`. */
export function remedyText({ verdict, egress, ingress }: PolicyExplanation): string {
  const barred = [egress, ingress].filter((direction) => direction.verdict !== "allowed");
  const remedies = barred.map(({ remedy }) => remedy).filter((remedy) => remedy !== undefined);
  if (verdict === "allowed") throw new UsageError("it is allowed already");
  if (remedies.length < barred.length)
    throw new UsageError("no policy alone would allow it: without --remedy it is said what is in its way");
  return remedies.map((remedy) => `---\n${stringify(remedy, { lineWidth: 0 })}`).join("");
}

function list(title: string, items: readonly string[], note?: string): string[] {
  if (items.length === 0) return [];
  return [`  ${title}${note === undefined ? "" : ` (${note})`}:`, ...items.map((item) => `    - ${item}`)];
}

function policyText({ kind, namespace, name }: ExplainedPolicy): string {
  return `${kind} ${namespace === "" ? name : `${namespace}/${name}`}`;
}
