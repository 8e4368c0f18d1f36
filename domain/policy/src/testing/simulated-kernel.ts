import type { ResolvedPolicy, Verdict, VerdictEntry } from "../entries/verdict.ts";

/**
 * What the datapath does with the entries, bit by bit, written from the map's description and not from the engine's keys: for the
 * peer's identity and for 0, of all entries whose bits agree the one with the most bits; of two hits the greater precedence.
 */
export function simulateKernel(
  policy: ResolvedPolicy,
  direction: "ingress" | "egress",
  identity: number,
  protocol: number,
  port: number,
): Verdict & { readonly entry: VerdictEntry | undefined } {
  const specific = longest(policy, direction, identity, protocol, port);
  const any = longest(policy, direction, 0, protocol, port);
  let entry = specific ?? any;
  if (specific !== undefined && any !== undefined) entry = specific.precedence >= any.precedence ? specific : any;
  if (entry === undefined) return { verdict: "dropped", audited: false, redirect: undefined, match: 0, origins: [], entry };
  const { deny, unallowed, audit, redirect, match, origins } = entry;
  const passes = redirect === undefined ? "allowed" : "redirected";
  return { verdict: deny ? "denied" : unallowed ? "dropped" : passes, audited: audit, redirect, match, origins, entry };
}

function longest(
  policy: ResolvedPolicy,
  direction: "ingress" | "egress",
  identity: number,
  protocol: number,
  port: number,
): VerdictEntry | undefined {
  const packetBits = bitsOf(protocol, 8) + bitsOf(port, 16);
  let best: VerdictEntry | undefined;
  let bestLength = -1;
  for (const entry of policy.entries) {
    if (entry.direction !== direction || entry.identity !== identity) continue;
    const length = entry.protocol === 0 ? 0 : 8 + entry.portPrefixLength;
    const entryBits = (bitsOf(entry.protocol, 8) + bitsOf(entry.port, 16)).slice(0, length);
    if (!packetBits.startsWith(entryBits) || length <= bestLength) continue;
    best = entry;
    bestLength = length;
  }
  return best;
}

function bitsOf(value: number, width: number): string {
  return value.toString(2).padStart(width, "0");
}
