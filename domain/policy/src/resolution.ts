import { createHash } from "node:crypto";
import { reservedIdentities } from "@cilium-ts/identity";
import { type CompiledPorts, type CompiledRule, type CompiledSection, matchesNamedPort } from "./compiled-rule.ts";
import { type OriginList, OriginSet } from "./origin-sets.ts";
import { originKey, reservedOrigins } from "./origins.ts";
import { anyPortKey, decodePortKey, type PortKey, portKeyOf, widerPortKey } from "./port-prefix.ts";
import type { Direction, NamedPort, RuleOrigin } from "./rule.ts";
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

type Cells = Map<PortKey, OriginSet>;

/**
 * What rules say about each identity, and the entries that say the same to a kernel that looks no further than the longest match:
 * whatever a deny covers is left out, so that the longest match is a deny wherever any deny matches. A deny of the identity and an
 * allow of any (or the other way round) are settled by precedence.
 */
class DirectionTable {
  readonly #allow = new Map<number, Cells>();
  readonly #deny = new Map<number, Cells>();
  /** Sets of one origin, by that origin's list. */
  readonly #origins = new Map<OriginList, OriginSet>();

  add(deny: boolean, identity: number, key: PortKey, origin: OriginList): void {
    const table = deny ? this.#deny : this.#allow;
    const cells = table.get(identity);
    const existing = cells?.get(key);
    const set = existing === undefined ? this.#single(origin) : existing.with(origin);
    if (cells === undefined) table.set(identity, new Map([[key, set]]));
    else if (set !== existing) cells.set(key, set);
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
        if (origins !== undefined) entries.push(createEntry(direction, identity, key, denied !== undefined, origins.list));
      }
    }
    return entries;
  }

  #single(origin: OriginList): OriginSet {
    let set = this.#origins.get(origin);
    if (set === undefined) {
      set = new OriginSet(origin);
      this.#origins.set(origin, set);
    }
    return set;
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
  const precedence = precedenceOf(deny, protocol, length);
  const match = matchTypeOf(identity, protocol, length);
  return { direction, identity, protocol, port, portPrefixLength: length, deny, precedence, match, origins };
}

/** Numbers origins and lists of them in the order of their first use, so that the fingerprint depends on the result alone. */
function fingerprintOf(ingressEnforced: boolean, egressEnforced: boolean, entries: readonly VerdictEntry[]): string {
  const origins = new Map<RuleOrigin, number>();
  const lists = new Map<OriginList, number>();
  const words = [(ingressEnforced ? 1 : 0) | (egressEnforced ? 2 : 0), entries.length];
  for (const entry of entries) {
    const flags = (entry.direction === "ingress" ? 0 : 0x0100_0000) | (entry.deny ? 0x0200_0000 : 0);
    words.push(entry.identity, portKeyOf(entry.protocol, entry.port, entry.portPrefixLength) | flags, numberOf(lists, entry.origins));
  }
  for (const list of lists.keys()) {
    words.push(list.length);
    for (const origin of list) words.push(numberOf(origins, origin));
  }
  const hash = createHash("sha256").update(Uint32Array.from(words));
  for (const origin of origins.keys()) hash.update(`${originKey(origin)}\n`);
  return hash.digest("hex");
}

function numberOf<T>(numbers: Map<T, number>, item: T): number {
  let number = numbers.get(item);
  if (number === undefined) {
    number = numbers.size;
    numbers.set(item, number);
  }
  return number;
}
