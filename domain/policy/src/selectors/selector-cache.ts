import { prefixesOfLabels } from "@cilium-ts/identity";
import { type Labels, type Selector, SelectorIndex } from "@cilium-ts/labels";
import { type Family, type Prefix, prefixContains } from "@cilium-ts/net";
import type { CidrGroup, Peer, PolicyService } from "../rules/rule.ts";
import { CountedTexts } from "./counted-texts.ts";
import { IdentityIndex } from "./identity-index.ts";
import { NamedPrefixes } from "./named-prefixes.ts";
import {
  anyIPv4,
  anyIPv6,
  type CidrPart,
  choosesGroup,
  choosesService,
  type PeerParts,
  partsOf,
  peerKey,
  requirePrefix,
} from "./peer-selectors.ts";
import { PrefixIndex } from "./prefix-index.ts";
import { PrefixList } from "./prefix-list.ts";

/** Told that a selector it watches chooses an identity, or chooses it no longer. */
export interface SelectorWatcher {
  touch(identity: number): void;
}

/** A distinct way to choose peers, and the identities it chooses now. Shared by all rules that choose so. */
export interface CachedSelector {
  readonly key: string;
  /** Chooses everybody, known or not; then `identities` stays empty. */
  readonly wildcard: boolean;
  readonly identities: ReadonlySet<number>;
  readonly watchers: Set<SelectorWatcher>;
}

/** A way to choose peers, whom it chooses now, and how many items of rules do. */
export interface ChosenPeers {
  readonly peer: Peer;
  /** Chooses everybody, known or not; then `identities` is empty. */
  readonly wildcard: boolean;
  readonly identities: ReadonlySet<number>;
  readonly users: number;
}

interface Row extends CachedSelector {
  readonly peer: Peer;
  readonly identities: Set<number>;
  references: number;
  labelParts: readonly LabelPart[];
  prefixParts: readonly PrefixPart[];
}

interface LabelPart {
  readonly row: Row;
  readonly selector: Selector;
}

interface PrefixPart {
  readonly row: Row;
  readonly cidr: CidrPart;
}

interface KnownIdentity {
  readonly labels: Labels;
  /** Where it is in terms of CIDRs; a node is in several places. */
  readonly prefixes: readonly Prefix[];
  /** Those that choose it. */
  readonly rows: Set<Row>;
}

const noRows: ReadonlySet<CachedSelector> = new Set();

/** Which identities each peer of each rule chooses, kept up as identities, rules, groups of CIDRs and services come and go. */
export class SelectorCache {
  readonly #clusterName: string;
  readonly #families: readonly Family[];
  readonly #rows = new Map<string, Row>();
  readonly #identities = new Map<number, KnownIdentity>();
  readonly #identityIndex = new IdentityIndex();
  readonly #byLabels = new SelectorIndex<LabelPart>();
  readonly #byPrefix = new PrefixIndex<PrefixPart>();
  readonly #prefixed = new PrefixList();
  readonly #named = new NamedPrefixes();
  readonly #patterns = new CountedTexts();
  readonly #cidrGroups = new Map<string, CidrGroup>();
  readonly #services = new Map<string, PolicyService>();
  /** Rows that depend on groups or services. */
  readonly #dependent = new Set<Row>();

  constructor(options: { readonly clusterName: string; readonly families: readonly Family[] }) {
    this.#clusterName = options.clusterName;
    this.#families = options.families;
  }

  /** Prefixes that must have an identity of their own. */
  get namedPrefixes(): NamedPrefixes {
    return this.#named;
  }

  /** Patterns of names whose addresses must have an identity that says so. */
  get namePatterns(): CountedTexts {
    return this.#patterns;
  }

  /** Those that choose the identity now. */
  selectorsOf(identity: number): ReadonlySet<CachedSelector> {
    return this.#identities.get(identity)?.rows ?? noRows;
  }

  /** All that rules choose peers by, for people to look at. */
  *chosen(): Generator<ChosenPeers> {
    for (const { peer, wildcard, identities, references } of this.#rows.values()) yield { peer, wildcard, identities, users: references };
  }

  /** Takes a reference. */
  acquire(peer: Peer): CachedSelector {
    const key = peerKey(peer);
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = this.#create(key, peer);
      if (peer.kind === "fqdn") this.#patterns.add(peer.pattern);
      this.#rows.set(key, row);
    }
    row.references += 1;
    return row;
  }

  /** Gives a reference back. */
  release(selector: CachedSelector): void {
    const row = this.#rows.get(selector.key);
    if (row === undefined) return;
    row.references -= 1;
    if (row.references > 0) return;
    this.#rows.delete(row.key);
    if (row.peer.kind === "fqdn") this.#patterns.remove(row.peer.pattern);
    this.#dependent.delete(row);
    this.#withdraw(row.labelParts, row.prefixParts);
    for (const id of row.identities) this.#identities.get(id)?.rows.delete(row);
  }

  upsertIdentity(id: number, labels: Labels): void {
    const before = this.#identities.get(id);
    if (before?.labels.equals(labels)) return;
    if (before !== undefined) this.#unindex(id, before);
    const prefixes = this.#prefixesOf(labels);
    const rows = this.#choosing(labels, prefixes);
    this.#identities.set(id, { labels, prefixes, rows });
    this.#identityIndex.add(id, labels);
    for (const prefix of prefixes) this.#prefixed.add(prefix, id);
    for (const row of rows) if (before?.rows.has(row) !== true) join(row, id);
    for (const row of before?.rows ?? []) if (!rows.has(row)) leave(row, id);
  }

  removeIdentity(id: number): void {
    const known = this.#identities.get(id);
    if (known === undefined) return;
    this.#unindex(id, known);
    this.#identities.delete(id);
    for (const row of known.rows) leave(row, id);
  }

  /** Undefined: the group of that name is gone. */
  setCidrGroup(name: string, group: CidrGroup | undefined): void {
    const before = this.#cidrGroups.get(name);
    if (group === undefined) this.#cidrGroups.delete(name);
    else this.#cidrGroups.set(name, group);
    const versions = [before, group].filter((version) => version !== undefined);
    for (const row of this.#dependent) {
      const { peer } = row;
      if (peer.kind === "cidrGroups" && versions.some((version) => choosesGroup(peer, version))) this.#rebuild(row);
    }
  }

  /** Undefined: the service of that key is gone. */
  setService(key: string, service: PolicyService | undefined): void {
    const before = this.#services.get(key);
    if (service === undefined) this.#services.delete(key);
    else this.#services.set(key, service);
    const versions = [before, service].filter((version) => version !== undefined);
    for (const row of this.#dependent) {
      const { peer } = row;
      if (peer.kind === "services" && versions.some((version) => choosesService(peer, version))) this.#rebuild(row);
    }
  }

  #create(key: string, peer: Peer): Row {
    const parts = this.#partsOf(peer);
    const row: Row = {
      key,
      peer,
      wildcard: parts.wildcard,
      identities: new Set(),
      watchers: new Set(),
      references: 0,
      labelParts: [],
      prefixParts: [],
    };
    if (peer.kind === "cidrGroups" || peer.kind === "services") this.#dependent.add(row);
    this.#declare(row, parts);
    for (const id of this.#chosenBy(parts)) {
      row.identities.add(id);
      this.#identities.get(id)?.rows.add(row);
    }
    return row;
  }

  /** What the row refers to has changed. */
  #rebuild(row: Row): void {
    const { labelParts, prefixParts } = row;
    const parts = this.#partsOf(row.peer);
    this.#declare(row, parts);
    this.#withdraw(labelParts, prefixParts);
    const chosen = this.#chosenBy(parts);
    for (const id of [...row.identities]) {
      if (chosen.has(id)) continue;
      this.#identities.get(id)?.rows.delete(row);
      leave(row, id);
    }
    for (const id of chosen) {
      if (row.identities.has(id)) continue;
      this.#identities.get(id)?.rows.add(row);
      join(row, id);
    }
  }

  #partsOf(peer: Peer): PeerParts {
    return partsOf(peer, {
      clusterName: this.#clusterName,
      cidrGroups: () => this.#cidrGroups.values(),
      services: () => this.#services.values(),
    });
  }

  #declare(row: Row, parts: PeerParts): void {
    row.labelParts = parts.selectors.map((selector) => ({ row, selector }));
    row.prefixParts = parts.cidrs.map((cidr) => ({ row, cidr }));
    for (const part of row.labelParts) this.#byLabels.add(part, part.selector);
    for (const part of row.prefixParts) {
      this.#byPrefix.add(part.cidr.prefix, part);
      for (const prefix of [part.cidr.prefix, ...part.cidr.except]) this.#named.add(prefix);
    }
  }

  #withdraw(labelParts: readonly LabelPart[], prefixParts: readonly PrefixPart[]): void {
    for (const part of labelParts) this.#byLabels.remove(part, part.selector);
    for (const part of prefixParts) {
      this.#byPrefix.remove(part.cidr.prefix, part);
      for (const prefix of [part.cidr.prefix, ...part.cidr.except]) this.#named.remove(prefix);
    }
  }

  #chosenBy({ selectors, cidrs }: PeerParts): Set<number> {
    const chosen = new Set<number>();
    for (const selector of selectors) {
      for (const ids of this.#identityIndex.candidates(selector) ?? [this.#identities.keys()]) {
        for (const id of ids) {
          const known = this.#identities.get(id);
          if (known !== undefined && selector.matches(known.labels)) chosen.add(id);
        }
      }
    }
    for (const cidr of cidrs) {
      for (const member of this.#prefixed.inside(cidr.prefix)) if (!isExcepted(cidr, member.prefix)) chosen.add(member.id);
    }
    return chosen;
  }

  #choosing(labels: Labels, prefixes: readonly Prefix[]): Set<Row> {
    const rows = new Set<Row>();
    for (const { row } of this.#byLabels.matching(labels)) rows.add(row);
    for (const prefix of prefixes) {
      for (const { row, cidr } of this.#byPrefix.around(prefix)) if (!isExcepted(cidr, prefix)) rows.add(row);
    }
    return rows;
  }

  #unindex(id: number, known: KnownIdentity): void {
    this.#identityIndex.remove(id, known.labels);
    for (const prefix of known.prefixes) this.#prefixed.remove(prefix, id);
  }

  #prefixesOf(labels: Labels): readonly Prefix[] {
    const own = prefixesOfLabels(labels);
    if (own.length > 0) return own;
    const world = this.#worldPrefix(labels);
    return world === undefined ? [] : [world];
  }

  /** What is left of the world beside the prefixes that are told apart. On a node with both families `reserved:world` is of neither. */
  #worldPrefix(labels: Labels): Prefix | undefined {
    const single = this.#families.length === 1 && labels.has("reserved", "world") ? this.#families[0] : undefined;
    if (labels.has("reserved", "world-ipv4") || single === 4) return requirePrefix(anyIPv4);
    if (labels.has("reserved", "world-ipv6") || single === 6) return requirePrefix(anyIPv6);
    return undefined;
  }
}

function join(row: Row, id: number): void {
  row.identities.add(id);
  for (const watcher of row.watchers) watcher.touch(id);
}

function leave(row: Row, id: number): void {
  row.identities.delete(id);
  for (const watcher of row.watchers) watcher.touch(id);
}

function isExcepted(cidr: CidrPart, prefix: Prefix): boolean {
  return cidr.except.some((except) => prefixContains(except, prefix));
}
