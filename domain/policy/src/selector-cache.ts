import { prefixOfLabels } from "@cilium-ts/identity";
import { type Labels, type Selector, SelectorIndex } from "@cilium-ts/labels";
import { type Family, formatPrefix, maskAddress, type Prefix, parsePrefix, prefixContains } from "@cilium-ts/net";
import { selectorsOfEntity } from "./peer-selectors.ts";
import { PrefixList } from "./prefix-list.ts";
import type { Peer } from "./rule.ts";

/** A distinct way to choose peers, and the identities it chooses now. Shared by all rules that choose so. */
export interface CachedSelector<User> {
  readonly key: string;
  /** Chooses everybody, known or not; then `identities` stays empty. */
  readonly wildcard: boolean;
  readonly identities: Set<number>;
  readonly users: Set<User>;
}

interface Row<User> extends CachedSelector<User> {
  readonly alternatives: readonly { readonly row: Row<User>; readonly selector: Selector }[];
  readonly cidr: { readonly prefix: Prefix; readonly except: readonly Prefix[] } | undefined;
}

interface KnownIdentity {
  readonly labels: Labels;
  readonly prefix: Prefix | undefined;
}

const anyIPv4 = "0.0.0.0/0";
const anyIPv6 = "::/0";

/** Which identities each peer of each rule chooses, kept up as identities and rules come and go. */
export class SelectorCache<User> {
  readonly #clusterName: string;
  readonly #families: readonly Family[];
  readonly #rows = new Map<string, Row<User>>();
  readonly #identities = new Map<number, KnownIdentity>();
  readonly #byLabels = new SelectorIndex<{ readonly row: Row<User>; readonly selector: Selector }>();
  readonly #byPrefix = new Map<string, Set<Row<User>>>();
  /** How many selectors have a length, for IPv4 and IPv6: prefixes look for selectors around them at these lengths only. */
  readonly #selectorLengths = { 4: new Map<number, number>(), 16: new Map<number, number>() };
  readonly #prefixed = new PrefixList();
  /** How many selectors name a prefix that an address must be told apart by. */
  readonly #referenced = new Map<string, number>();
  /** Prefixes that became named (true) or unnamed (false) since the changes were taken. */
  readonly #referenceChanges = new Map<string, boolean>();

  constructor(options: { readonly clusterName: string; readonly families: readonly Family[] }) {
    this.#clusterName = options.clusterName;
    this.#families = options.families;
  }

  /** Prefixes that must have an identity of their own. The whole world has one already. */
  get referencedPrefixes(): ReadonlyMap<string, number> {
    return this.#referenced;
  }

  takeReferenceChanges(): { added: string[]; removed: string[] } {
    const changes = [...this.#referenceChanges];
    this.#referenceChanges.clear();
    const of = (named: boolean): string[] => changes.filter(([, now]) => now === named).map(([prefix]) => prefix);
    return { added: of(true), removed: of(false) };
  }

  acquire(peer: Peer, user: User): CachedSelector<User> {
    const key = keyOf(peer);
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = this.#create(key, peer);
      this.#rows.set(key, row);
    }
    row.users.add(user);
    return row;
  }

  release(selector: CachedSelector<User>, user: User): void {
    const row = this.#rows.get(selector.key);
    row?.users.delete(user);
    if (row === undefined || row.users.size > 0) return;
    this.#rows.delete(row.key);
    for (const alternative of row.alternatives) this.#byLabels.remove(alternative, alternative.selector);
    if (row.cidr === undefined) return;
    const prefixKey = formatPrefix(row.cidr.prefix);
    const rows = this.#byPrefix.get(prefixKey);
    rows?.delete(row);
    if (rows?.size === 0) this.#byPrefix.delete(prefixKey);
    this.#countLength(row.cidr.prefix, -1);
    for (const prefix of [row.cidr.prefix, ...row.cidr.except]) this.#reference(prefix, -1);
  }

  /** The selectors that choose differently now. */
  upsertIdentity(id: number, labels: Labels): Set<CachedSelector<User>> {
    const known = this.#identities.get(id);
    if (known?.labels.equals(labels)) return new Set();
    const changed = known === undefined ? new Set<CachedSelector<User>>() : this.removeIdentity(id);
    const prefix = prefixOfLabels(labels) ?? this.#worldPrefix(labels);
    this.#identities.set(id, { labels, prefix });
    if (prefix !== undefined) this.#prefixed.add(prefix, id);
    for (const row of this.#choosing(labels, prefix)) {
      row.identities.add(id);
      // What the old labels had and the new ones have as well did not change.
      if (!changed.delete(row)) changed.add(row);
    }
    return changed;
  }

  removeIdentity(id: number): Set<CachedSelector<User>> {
    const known = this.#identities.get(id);
    if (known === undefined) return new Set();
    this.#identities.delete(id);
    if (known.prefix !== undefined) this.#prefixed.remove(known.prefix, id);
    const changed = new Set<CachedSelector<User>>(this.#choosing(known.labels, known.prefix));
    for (const row of changed) row.identities.delete(id);
    return changed;
  }

  #create(key: string, peer: Peer): Row<User> {
    const selectors =
      peer.kind === "endpoints" ? [peer.selector] : peer.kind === "entity" ? selectorsOfEntity(peer.entity, this.#clusterName) : undefined;
    const wildcard = selectors?.some((selector) => selector.matchesEverything) ?? (peer.kind === "entity" && peer.entity === "all");
    const alternatives: { row: Row<User>; selector: Selector }[] = [];
    const row: Row<User> = {
      key,
      wildcard,
      identities: new Set(),
      users: new Set(),
      alternatives,
      cidr: wildcard ? undefined : cidrOf(peer),
    };
    if (wildcard) return row;
    for (const selector of selectors ?? []) {
      const alternative = { row, selector };
      alternatives.push(alternative);
      this.#byLabels.add(alternative, selector);
    }
    if (row.cidr !== undefined) this.#addCidr(row, row.cidr);
    else
      for (const [id, { labels }] of this.#identities)
        if (alternatives.some(({ selector }) => selector.matches(labels))) row.identities.add(id);
    return row;
  }

  #addCidr(row: Row<User>, cidr: NonNullable<Row<User>["cidr"]>): void {
    const prefixKey = formatPrefix(cidr.prefix);
    const rows = this.#byPrefix.get(prefixKey);
    if (rows === undefined) this.#byPrefix.set(prefixKey, new Set([row]));
    else rows.add(row);
    this.#countLength(cidr.prefix, 1);
    for (const prefix of [cidr.prefix, ...cidr.except]) this.#reference(prefix, 1);
    for (const member of this.#prefixed.inside(cidr.prefix)) if (!isExcepted(cidr, member.prefix)) row.identities.add(member.id);
  }

  #choosing(labels: Labels, prefix: Prefix | undefined): Set<Row<User>> {
    const rows = new Set<Row<User>>();
    for (const { row } of this.#byLabels.matching(labels)) rows.add(row);
    if (prefix === undefined) return rows;
    for (const length of this.#lengthsOf(prefix).keys()) {
      if (length > prefix.length) continue;
      const around = this.#byPrefix.get(formatPrefix({ address: maskAddress(prefix.address, length), length }));
      for (const row of around ?? []) if (row.cidr !== undefined && !isExcepted(row.cidr, prefix)) rows.add(row);
    }
    return rows;
  }

  #lengthsOf(prefix: Prefix): Map<number, number> {
    return this.#selectorLengths[prefix.address.length === 4 ? 4 : 16];
  }

  #countLength(prefix: Prefix, difference: number): void {
    const lengths = this.#lengthsOf(prefix);
    const count = (lengths.get(prefix.length) ?? 0) + difference;
    if (count === 0) lengths.delete(prefix.length);
    else lengths.set(prefix.length, count);
  }

  /** What is left of the world beside the prefixes that are told apart. On a node with both families `reserved:world` is of neither. */
  #worldPrefix(labels: Labels): Prefix | undefined {
    const single = this.#families.length === 1 && labels.has("reserved", "world") ? this.#families[0] : undefined;
    if (labels.has("reserved", "world-ipv4") || single === 4) return parsePrefix(anyIPv4);
    if (labels.has("reserved", "world-ipv6") || single === 6) return parsePrefix(anyIPv6);
    return undefined;
  }

  #reference(prefix: Prefix, difference: number): void {
    if (prefix.length === 0) return;
    const key = formatPrefix(prefix);
    const before = this.#referenced.get(key) ?? 0;
    const count = before + difference;
    if (count === 0) this.#referenced.delete(key);
    else this.#referenced.set(key, count);
    if ((before === 0) === (count === 0)) return;
    // There and back again is no change.
    if (!this.#referenceChanges.delete(key)) this.#referenceChanges.set(key, count > 0);
  }
}

function keyOf(peer: Peer): string {
  switch (peer.kind) {
    case "endpoints":
      return `endpoints ${peer.selector.key}`;
    case "entity":
      return `entity ${peer.entity}`;
    case "cidr":
      return `cidr ${peer.cidr} except ${[...peer.except].sort().join(" ")}`;
  }
}

function cidrOf(peer: Peer): Row<unknown>["cidr"] {
  if (peer.kind === "endpoints") return undefined;
  const cidr =
    peer.kind === "cidr" ? peer.cidr : peer.entity === "world-ipv4" ? anyIPv4 : peer.entity === "world-ipv6" ? anyIPv6 : undefined;
  if (cidr === undefined) return undefined;
  return { prefix: requirePrefix(cidr), except: peer.kind === "cidr" ? peer.except.map(requirePrefix) : [] };
}

/** Rules are parsed before they get here: a bad prefix is our mistake, not a user's. */
function requirePrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new Error(`rule names ${JSON.stringify(text)}, which is no prefix; parse rules before adding them`);
  return prefix;
}

function isExcepted(cidr: { readonly except: readonly Prefix[] }, prefix: Prefix): boolean {
  return cidr.except.some((except) => prefixContains(except, prefix));
}
