import { parseAddress } from "@cilium-ts/net";
import type { FlowFilter } from "../filter/filter.ts";
import { addressDigest, type BlockSummary } from "./block-summary.ts";

export type SummaryPredicate = (summary: BlockSummary) => boolean;

/** False only for blocks in which no event can match one of the filters. They have been compiled before, so they are right. */
export function compileSummaryFilters(allow: readonly FlowFilter[]): SummaryPredicate {
  if (allow.length === 0) return () => true;
  const lists = allow.map(conditionsOf);
  return (summary) => lists.some((conditions) => conditions.every((condition) => condition(summary)));
}

function conditionsOf(filter: FlowFilter): SummaryPredicate[] {
  const conditions: SummaryPredicate[] = [];
  const { verdict = [], dropReasonDesc = [] } = filter;
  if (verdict.length > 0) conditions.push(({ verdicts }) => verdict.some((number) => (verdicts & (1 << number)) !== 0));
  if (dropReasonDesc.length > 0) conditions.push(({ dropReasons }) => holdsAny(dropReasons, dropReasonDesc));
  for (const identities of [filter.sourceIdentity, filter.destinationIdentity]) {
    if (identities !== undefined && identities.length > 0) conditions.push((summary) => holdsAny(summary.identities, identities));
  }
  for (const ports of [filter.sourcePort, filter.destinationPort]) {
    if (ports !== undefined && ports.length > 0) conditions.push((summary) => holdsAny(summary.ports, ports.map(Number)));
  }
  for (const pods of [filter.sourcePod, filter.destinationPod]) {
    if (pods !== undefined && pods.length > 0) conditions.push(holdsPod(pods));
  }
  for (const addresses of [filter.sourceIp, filter.destinationIp, filter.sourceIpXlated]) {
    const digests = addresses?.map((text) => {
      const address = parseAddress(text);
      return address === undefined ? undefined : addressDigest(address);
    });
    // Whether a prefix has an address among the digests cannot be told.
    const whole = digests?.filter((digest) => digest !== undefined);
    if (whole === undefined || whole.length === 0 || whole.length !== digests?.length) continue;
    conditions.push((summary) => holdsAny(summary.addresses, whole));
  }
  return conditions;
}

function holdsAny(listed: Int32Array | undefined, wanted: readonly number[]): boolean {
  return listed === undefined || wanted.some((value) => listed.includes(value));
}

/** As in a filter: `namespace/prefix`, the namespace "default" without a slash, and any before an empty one. */
function holdsPod(wanted: readonly string[]): SummaryPredicate {
  const parts = wanted.map((text) => (text.startsWith("/") ? text : text.includes("/") ? `\n${text}` : `\ndefault/${text}`));
  return ({ pods }) => pods === undefined || parts.some((part) => pods.includes(part));
}
