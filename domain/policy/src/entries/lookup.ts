import { anyPortKey, type PortKey, portKeyOf, widerPortKey } from "../rules/port-prefix.ts";
import { type Direction, type Protocol, protocols } from "../rules/rule.ts";
import { type ResolvedPolicy, type Verdict, type VerdictEntry, verdictOf } from "./verdict.ts";

type Side = Map<number, Map<PortKey, VerdictEntry>>;

/** The kernel's decision over the entries of a policy: two lookups by longest match, then precedence. */
export class VerdictLookup {
  readonly #sides: Record<Direction, Side> = { ingress: new Map(), egress: new Map() };

  constructor(policy: ResolvedPolicy) {
    for (const entry of policy.entries) {
      const side = this.#sides[entry.direction];
      const key = portKeyOf(entry.protocol, entry.port, entry.portPrefixLength);
      const cells = side.get(entry.identity);
      if (cells === undefined) side.set(entry.identity, new Map([[key, entry]]));
      else cells.set(key, entry);
    }
  }

  /** Port: the destination's; the type of ICMP. */
  decide(direction: Direction, peerIdentity: number, protocol: number, port: number): Verdict {
    const side = this.#sides[direction];
    const specific = longestMatch(side.get(peerIdentity), protocol, port);
    const any = longestMatch(side.get(0), protocol, port);
    const entry = specific !== undefined && (any === undefined || specific.precedence >= any.precedence) ? specific : any;
    return verdictOf(entry);
  }
}

function longestMatch(cells: Map<PortKey, VerdictEntry> | undefined, protocol: number, port: number): VerdictEntry | undefined {
  if (cells === undefined) return undefined;
  let key: PortKey | undefined = isKnown(protocol) ? portKeyOf(protocol, port, 16) : anyPortKey;
  for (; key !== undefined; key = widerPortKey(key)) {
    const entry = cells.get(key);
    if (entry !== undefined) return entry;
  }
  return undefined;
}

const known = new Set<number>(Object.values(protocols));

function isKnown(protocol: number): protocol is Protocol {
  return known.has(protocol);
}
