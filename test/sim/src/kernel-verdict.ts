import type { InspectedEndpoint, InspectedPolicyEntry, IpcacheRow } from "@cilium-ts/datapath";
import { parseAddress, parsePrefix, prefixContainsAddress } from "@cilium-ts/net";
import type { Direction } from "@cilium-ts/policy";

/** What the datapath takes an address for: the longest prefix. 0: nobody. */
export function identityOf(ipcache: readonly IpcacheRow[], text: string): number {
  const address = parseAddress(text);
  let best: { readonly identity: number; readonly length: number } | undefined;
  for (const { prefix: prefixText, identity } of ipcache) {
    const prefix = parsePrefix(prefixText);
    if (address === undefined || prefix === undefined || !prefixContainsAddress(prefix, address)) continue;
    if (best === undefined || prefix.length > best.length) best = { identity, length: prefix.length };
  }
  return best?.identity ?? 0;
}

/**
 * Whether the datapath lets a packet of a new connection pass an endpoint, written from the description of its maps: nothing without a
 * policy set; everything where the direction is not enforced; otherwise of the longest entries for the peer and for anybody the one
 * with the greater precedence.
 */
export function isAllowed(
  row: InspectedEndpoint,
  policy: readonly InspectedPolicyEntry[],
  packet: { readonly direction: Direction; readonly identity: number; readonly protocol: number; readonly port: number },
): boolean {
  if (row.policySet === 0) return false;
  if (!(packet.direction === "ingress" ? row.ingressEnforced : row.egressEnforced)) return true;
  const matching = policy.filter(
    (entry) =>
      entry.set === row.policySet &&
      entry.direction === packet.direction &&
      (entry.protocol === 0 || (entry.protocol === packet.protocol && entry.port >> bitsOf(entry) === packet.port >> bitsOf(entry))),
  );
  const longest = (identity: number): InspectedPolicyEntry | undefined =>
    matching.filter((entry) => entry.identity === identity).sort((left, right) => lengthOf(right) - lengthOf(left))[0];
  const [specific, any] = [longest(packet.identity), longest(0)];
  const chosen = specific !== undefined && any !== undefined && any.precedence > specific.precedence ? any : (specific ?? any);
  return chosen !== undefined && (chosen.audit || !(chosen.deny || chosen.unallowed || chosen.redirect));
}

/** Bits of the port that do not count. */
function bitsOf({ portPrefixLength }: InspectedPolicyEntry): number {
  return 16 - portPrefixLength;
}

function lengthOf({ protocol, portPrefixLength }: InspectedPolicyEntry): number {
  return protocol === 0 ? -1 : portPrefixLength;
}
