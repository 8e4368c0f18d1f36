import type { ExplainedDirection, ExplainedParty, ExplainedRule, PolicyExplanation } from "./explained.ts";
import { policyText } from "./policy-changes.ts";

/** How a policy is written, without an indent: lines of YAML. */
export type RemedyLines<Remedy> = (remedy: Remedy) => readonly string[];

/** The verdict first, then who they are, then each direction with its reasons. */
export function explanationLines<Remedy>(
  { from, to, protocol, port, verdict, egress, ingress }: PolicyExplanation<Remedy>,
  remedyLines: RemedyLines<Remedy>,
): string[] {
  const what = protocol.startsWith("ICMP") ? `${protocol} type ${port}` : `port ${port}/${protocol}`;
  return [
    `Verdict: ${verdict} (${what})`,
    "",
    ...partyLines("From", from),
    ...partyLines("To", to),
    "",
    ...directionLines("Egress", "sender", egress, remedyLines),
    "",
    ...directionLines("Ingress", "receiver", ingress, remedyLines),
  ];
}

function partyLines(name: string, { identity, labels, endpoint, pod, address }: ExplainedParty): string[] {
  const known = [
    pod ?? address,
    endpoint === undefined ? undefined : `endpoint ${endpoint}`,
    identity === 0 ? undefined : `identity ${identity}`,
  ];
  return [`${`${name}:`.padEnd(6)}${known.filter((part) => part !== undefined).join(", ")}`, ...labels.map((label) => `        ${label}`)];
}

function directionLines<Remedy>(
  name: string,
  side: string,
  direction: ExplainedDirection<Remedy>,
  remedyLines: RemedyLines<Remedy>,
): string[] {
  const { verdict, audited, reason, rules, runnersUp = [], policies, match, changes, remedy } = direction;
  return [
    `${name} (policies of the ${side}): ${verdict}${audited === true && verdict !== "allowed" ? ", and only audited: it passes" : ""}`,
    `  ${reason}`,
    ...list("Deciding rules", rules.map(placeText), `match ${match}`),
    ...list(
      "Also matching, but not deciding",
      runnersUp.map((rule) => `${placeText(rule)}: ${rule.says}`),
    ),
    ...list("Policies that select it", policies.map(policyText)),
    ...list("What would change it", changes),
    ...(remedy === undefined ? [] : ["  The smallest policy that would allow it:", ...remedyLines(remedy).map((line) => `    ${line}`)]),
  ];
}

function placeText(rule: ExplainedRule): string {
  return `${policyText(rule)}${rule.path === "" ? "" : ` at ${rule.path}`}`;
}

/** The direction with its remedy in another form, such as the object that people apply. */
export function withRemedyAs<From, To>(
  { remedy, ...direction }: ExplainedDirection<From>,
  write: (remedy: From) => To,
): ExplainedDirection<To> {
  return remedy === undefined ? direction : { ...direction, remedy: write(remedy) };
}

/** The policies that together would let the packet through; in words, why there are none. */
export function remediesOf<Remedy>({ verdict, egress, ingress }: PolicyExplanation<Remedy>): readonly Remedy[] | string {
  if (verdict === "allowed") return "it is allowed already";
  const barred = [egress, ingress].filter((direction) => direction.verdict !== "allowed");
  const remedies = barred.map(({ remedy }) => remedy).filter((remedy) => remedy !== undefined);
  return remedies.length < barred.length ? "no policy alone would allow it: without --remedy it is said what is in its way" : remedies;
}

function list(title: string, items: readonly string[], note?: string): string[] {
  if (items.length === 0) return [];
  return [`  ${title}${note === undefined ? "" : ` (${note})`}:`, ...items.map((item) => `    - ${item}`)];
}
