import { createHash } from "node:crypto";
import { reservedIdentities } from "@cilium-ts/identity";
import { type CompiledPorts, type CompiledRule, type CompiledSection, matchesNamedPort } from "./compiled-rule.ts";
import { type OriginList, OriginSets } from "./origin-sets.ts";
import { originsKey, reservedOrigins } from "./origins.ts";
import { anyPortKey, decodePortKey, type PortKey, portKeyOf, widerPortKey } from "./port-prefix.ts";
import type { Direction, NamedPort } from "./rule.ts";
import { matchTypeOf, precedenceOf, type ResolvedPolicy, type VerdictEntry } from "./verdict.ts";

/** Everything that decides what an endpoint may do; nothing else is looked at. */
export interface ResolutionInput {
  /** The rules that select the endpoint, in one order. */
  readonly rules: readonly CompiledRule[];
  /** `default`: as the rules say. `enforced`: what no rule allows is dropped. `open`: everything is allowed. */
  readonly enforcement: "default" | "enforced" | "open";
  readonly allowLocalhost: boolean;
  /** Of the endpoint itself: names in ingress rules. */
  readonly namedPorts: readonly NamedPort[];
  /** Of peers, by identity: names in egress rules. */
  readonly peerNamedPorts: ReadonlyMap<number, readonly NamedPort[]>;
}

const anyIdentity = 0;

export function computeResolution(input: ResolutionInput): ResolvedPolicy {
  const ingress = computeDirection("ingress", input);
  const egress = computeDirection("egress", input);
  const entries = Object.freeze([...ingress.entries, ...egress.entries]);
  return Object.freeze({
    ingressEnforced: ingress.enforced,
    egressEnforced: egress.enforced,
    entries,
    fingerprint: fingerprintOf(ingress.enforced, egress.enforced, entries),
  });
}

function computeDirection(direction: Direction, input: ResolutionInput): { enforced: boolean; entries: readonly VerdictEntry[] } {
  const table = new DirectionTable();
  const selecting = input.rules.map((rule) => rule[direction]).filter((part) => part.selects);
  const enforced = input.enforcement === "enforced" || (input.enforcement === "default" && selecting.length > 0);
  if (enforced) for (const part of selecting) for (const section of part.sections) addSection(table, section, direction, input);
  const defaultDeny = input.enforcement === "enforced" || (enforced && selecting.some((part) => part.defaultDeny));
  if (!defaultDeny) {
    table.add(false, anyIdentity, anyPortKey, direction === "ingress" ? reservedOrigins.allowAnyIngress : reservedOrigins.allowAnyEgress);
  } else if (direction === "ingress" && input.allowLocalhost) {
    table.add(false, reservedIdentities.host, anyPortKey, reservedOrigins.allowLocalhostIngress);
  }
  return { enforced, entries: table.entries(direction) };
}

function addSection(table: DirectionTable, section: CompiledSection, direction: Direction, input: ResolutionInput): void {
  for (const ports of section.ports) {
    const keys = ports.every ? [anyPortKey] : direction === "ingress" ? [...ports.keys, ...namedKeys(ports, input.namedPorts)] : ports.keys;
    if (section.anyPeer) {
      for (const key of keys) table.add(section.deny, anyIdentity, key, ports.origins);
    } else {
      for (const selector of section.selectors) {
        for (const identity of selector.identities) for (const key of keys) table.add(section.deny, identity, key, ports.origins);
      }
    }
    if (direction === "egress" && ports.named.length > 0) addPeerNamedPorts(table, section, ports, input);
  }
}

/** The name is the receiver's: each peer's identity gets the ports that its own endpoints call so. */
function addPeerNamedPorts(table: DirectionTable, section: CompiledSection, ports: CompiledPorts, input: ResolutionInput): void {
  for (const [identity, named] of input.peerNamedPorts) {
    if (!section.anyPeer && !section.selectors.some((selector) => selector.identities.has(identity))) continue;
    for (const key of namedKeys(ports, named)) table.add(section.deny, identity, key, ports.origins);
  }
}

function namedKeys(ports: CompiledPorts, known: readonly NamedPort[]): PortKey[] {
  if (ports.named.length === 0) return [];
  const matching = known.filter((port) => ports.named.some((match) => matchesNamedPort(match, port)));
  return matching.map(({ protocol, port }) => portKeyOf(protocol, port, 16));
}

type Cells = Map<PortKey, OriginList>;

/**
 * What rules say about each identity, and the entries that say the same to a kernel that looks no further than the longest match:
 * whatever a deny covers is left out, so that the longest match is a deny wherever any deny matches. A deny of the identity and an
 * allow of any (or the other way round) are settled by precedence.
 */
class DirectionTable {
  readonly #allow = new Map<number, Cells>();
  readonly #deny = new Map<number, Cells>();
  readonly #origins = new OriginSets();

  add(deny: boolean, identity: number, key: PortKey, origins: OriginList): void {
    const table = deny ? this.#deny : this.#allow;
    const cells = table.get(identity);
    if (cells === undefined) {
      table.set(identity, new Map([[key, origins]]));
      return;
    }
    const existing = cells.get(key);
    cells.set(key, existing === undefined ? origins : this.#origins.union(existing, origins));
  }

  entries(direction: Direction): VerdictEntry[] {
    const identities = Uint32Array.from(new Set([...this.#allow.keys(), ...this.#deny.keys()])).sort();
    const anyDeny = this.#deny.get(anyIdentity);
    const entries: VerdictEntry[] = [];
    for (const identity of identities) {
      const allow = this.#allow.get(identity);
      const deny = this.#deny.get(identity);
      const keys = [...(allow?.keys() ?? []), ...(deny?.keys() ?? [])];
      if (keys.length > 1) keys.sort((a, b) => a - b);
      let previous = -1;
      for (const key of keys) {
        if (key === previous) continue; // Both allowed and denied: the deny was written already.
        previous = key;
        const denied = deny?.get(key);
        if (denied === undefined ? covers(deny, key) : coversNarrower(deny, key)) continue;
        if (identity !== anyIdentity && covers(anyDeny, key)) continue;
        const origins = denied ?? allow?.get(key);
        if (origins !== undefined) entries.push(createEntry(direction, identity, key, denied !== undefined, origins));
      }
    }
    return entries;
  }
}

/** True when the key or a wider one is there. */
function covers(cells: Cells | undefined, key: PortKey): boolean {
  return cells !== undefined && (cells.has(key) || coversNarrower(cells, key));
}

/** True when a wider key is there. */
function coversNarrower(cells: Cells | undefined, key: PortKey): boolean {
  if (cells === undefined) return false;
  for (let wider = widerPortKey(key); wider !== undefined; wider = widerPortKey(wider)) if (cells.has(wider)) return true;
  return false;
}

function createEntry(direction: Direction, identity: number, key: PortKey, deny: boolean, origins: OriginList): VerdictEntry {
  const { protocol, port, length } = decodePortKey(key);
  return Object.freeze({
    direction,
    identity,
    protocol,
    port,
    portPrefixLength: length,
    deny,
    precedence: precedenceOf(deny, protocol, length),
    match: matchTypeOf(identity, protocol, length),
    origins,
  });
}

/** Numbers the origin lists in the order of their first use, so that the text depends on the result alone. */
function fingerprintOf(ingressEnforced: boolean, egressEnforced: boolean, entries: readonly VerdictEntry[]): string {
  const numbers = new Map<string, number>();
  const words = new Uint32Array(2 + entries.length * 3);
  words[0] = (ingressEnforced ? 1 : 0) | (egressEnforced ? 2 : 0);
  words[1] = entries.length;
  let index = 2;
  for (const { direction, identity, protocol, port, portPrefixLength, deny, origins } of entries) {
    const key = originsKey(origins);
    let number = numbers.get(key);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(key, number);
    }
    words[index] = identity;
    words[index + 1] = portKeyOf(protocol, port, portPrefixLength) | (direction === "ingress" ? 0 : 0x0100_0000) | (deny ? 0x0200_0000 : 0);
    words[index + 2] = number;
    index += 3;
  }
  return createHash("sha256")
    .update(words)
    .update([...numbers.keys()].join("\n"))
    .digest("hex");
}
