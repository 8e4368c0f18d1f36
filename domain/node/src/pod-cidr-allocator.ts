import { type Family, familyOf, formatPrefix, type Prefix, parsePrefix, prefixContains } from "@cilium-ts/net";
import { PodCIDRPool } from "./pod-cidr-pool.ts";
import { PrefixOwners } from "./prefix-owners.ts";

/** The prefixes that pod CIDRs of one family are cut from, used up in their order. */
export interface PodCIDRPoolOptions {
  readonly prefixes: readonly Prefix[];
  /** Bits of each node's pod CIDR. */
  readonly maskSize: number;
}

export interface PodCIDRAllocatorOptions {
  /** Absent: nodes get no pod CIDR of this family. */
  readonly ipv4?: PodCIDRPoolOptions;
  readonly ipv6?: PodCIDRPoolOptions;
}

/** The pod CIDRs that a node's object names. */
export interface NodeClaim {
  readonly name: string;
  readonly podCIDRs: readonly string[];
}

/** What came of a claim. */
export interface NodeStanding {
  /** The pod CIDRs that are this node's and nobody else's, IPv4 first, in canonical text. */
  readonly podCIDRs: readonly string[];
  /** What is wrong with the others, each a sentence. */
  readonly problems: readonly string[];
}

export type Assignment =
  | { readonly outcome: "assigned"; readonly podCIDRs: readonly string[] }
  /** What the node's object names is wrong, and its pods may have addresses of it: nothing was assigned. */
  | { readonly outcome: "refused"; readonly problem: string }
  /** Of a family there is none left; nothing was assigned. */
  | { readonly outcome: "exhausted"; readonly problem: string };

/** Forgotten nodes whose pod CIDRs are remembered. */
const formerMax = 4_096;

interface NodeEntry {
  /** Replaced, never changed. */
  prefixes: readonly Prefix[];
  problems: readonly string[];
  /** Of just these prefixes and problems; asked for much more often than they change. */
  standing: NodeStanding | undefined;
}

/**
 * Which pod CIDRs belong to which node. It is filled from what the nodes' objects say before anything is assigned, so that a
 * successor comes to the same answer, and what has been assigned is kept until the node is forgotten, whether its object shows
 * it already or not. No two nodes ever hold overlapping CIDRs: who claims what another holds gets a problem, and is to be observed
 * again when something has been released.
 */
export class PodCIDRAllocator {
  readonly #pools: ReadonlyMap<Family, readonly PodCIDRPool[]>;
  readonly #owners = new PrefixOwners();
  readonly #nodes = new Map<string, NodeEntry>();
  /** What nodes had that were forgotten, the longest forgotten first: one that comes back gets the same, if it is still free. */
  readonly #former = new Map<string, readonly Prefix[]>();
  #releases = 0;

  constructor(options: PodCIDRAllocatorOptions) {
    const pools = new Map<Family, readonly PodCIDRPool[]>();
    const create = ({ prefixes, maskSize }: PodCIDRPoolOptions): PodCIDRPool[] =>
      prefixes.map((prefix) => new PodCIDRPool(prefix, maskSize));
    for (const { prefixes } of [options.ipv4, options.ipv6].filter((given) => given !== undefined)) refuseOverlaps(prefixes);
    if (options.ipv4 !== undefined) pools.set(4, create(options.ipv4));
    if (options.ipv6 !== undefined) pools.set(6, create(options.ipv6));
    this.#pools = pools;
  }

  /** Grows with each release: conflicts and shortage may be over. */
  get releases(): number {
    return this.#releases;
  }

  /** Pod CIDRs in all, and those that cannot be given any more. */
  get counts(): { readonly capacity: bigint; readonly used: bigint } {
    let [capacity, used] = [0n, 0n];
    for (const pool of [...this.#pools.values()].flat()) {
      capacity += pool.capacity;
      used += pool.used;
    }
    return { capacity, used };
  }

  /**
   * Takes what a node's object names. At the start, the nodes are to be given in the order of their age: of two that claim the same, the
   * first keeps it. A family that the object does not name (yet) keeps what was assigned.
   */
  observe(claim: NodeClaim): NodeStanding {
    const entry = this.#nodes.get(claim.name) ?? createEntry();
    this.#nodes.set(claim.name, entry);
    const problems: string[] = [];
    const claimed: Prefix[] = [];
    for (const text of claim.podCIDRs) {
      const prefix = parsePrefix(text);
      if (prefix === undefined || !text.includes("/"))
        problems.push(`${JSON.stringify(text)} is no CIDR; write an address and a length, such as 10.0.1.0/24`);
      else claimed.push(prefix);
    }
    const families = new Set(claimed.map(({ address }) => familyOf(address)));
    const texts = new Set(claimed.map(formatPrefix));
    for (const held of entry.prefixes) {
      if (families.has(familyOf(held.address)) && !texts.has(formatPrefix(held))) this.#release(entry, held);
    }
    for (const prefix of claimed) this.#claim(claim.name, entry, prefix, problems);
    change(entry, { problems });
    return standingOf(entry);
  }

  /** The node is gone, and so is its claim. */
  forget(name: string): void {
    const entry = this.#nodes.get(name);
    if (entry === undefined) return;
    this.#former.delete(name);
    if (entry.prefixes.length > 0) this.#former.set(name, entry.prefixes);
    for (const oldest of this.#former.keys()) {
      if (this.#former.size <= formerMax) break;
      this.#former.delete(oldest);
    }
    for (const prefix of entry.prefixes) this.#release(entry, prefix);
    this.#nodes.delete(name);
  }

  /** Every node that was observed or assigned to, and not forgotten. */
  names(): Iterable<string> {
    return this.#nodes.keys();
  }

  /** What the node holds now; undefined when it is not known. */
  standing(name: string): NodeStanding | undefined {
    const entry = this.#nodes.get(name);
    return entry === undefined ? undefined : standingOf(entry);
  }

  /** Gives the node what it lacks: one pod CIDR of each family that has pools. All or nothing. */
  assign(name: string): Assignment {
    const entry = this.#nodes.get(name) ?? createEntry();
    if (entry.problems.length > 0) return { outcome: "refused", problem: entry.problems.join("; ") };
    const given: Prefix[] = [];
    for (const [family, pools] of this.#pools) {
      if (entry.prefixes.some(({ address }) => familyOf(address) === family)) continue;
      const prefix = this.#takeFormer(name, family, pools) ?? allocateFrom(pools);
      if (prefix === undefined) {
        for (const taken of given) for (const pool of this.#poolsOf(taken)) pool.release(taken);
        return { outcome: "exhausted", problem: exhausted(family, pools) };
      }
      given.push(prefix);
    }
    this.#nodes.set(name, entry);
    for (const prefix of given) this.#owners.hold(prefix, name);
    if (given.length > 0) change(entry, { prefixes: [...entry.prefixes, ...given] });
    return { outcome: "assigned", podCIDRs: standingOf(entry).podCIDRs };
  }

  #claim(name: string, entry: NodeEntry, prefix: Prefix, problems: string[]): void {
    const text = formatPrefix(prefix);
    if (entry.prefixes.some((held) => formatPrefix(held) === text)) return;
    const holder = this.#owners.holderOf(prefix);
    if (holder !== undefined) {
      const held = formatPrefix(holder.prefix);
      const what = held === text ? `${text} belongs to` : `${text} overlaps ${held} of`;
      const wayOut = "delete one of the two CiliumNodes once its pods are gone, and it is given another";
      problems.push(`${what} ${holder.owner === name ? "this node already" : `node ${holder.owner}`}; ${wayOut}`);
      return;
    }
    this.#owners.hold(prefix, name);
    for (const pool of this.#poolsOf(prefix)) pool.take(prefix);
    change(entry, { prefixes: [...entry.prefixes, prefix] });
  }

  #release(entry: NodeEntry, prefix: Prefix): void {
    change(entry, { prefixes: entry.prefixes.filter((held) => held !== prefix) });
    this.#releases += 1;
    this.#owners.release(prefix);
    for (const pool of this.#poolsOf(prefix)) pool.release(prefix);
  }

  /** The very pod CIDR that a node of this name had before, unless it has another holder or the pools have changed. */
  #takeFormer(name: string, family: Family, pools: readonly PodCIDRPool[]): Prefix | undefined {
    const prefix = this.#former.get(name)?.find(({ address }) => familyOf(address) === family);
    if (prefix === undefined || this.#owners.holderOf(prefix) !== undefined) return undefined;
    const pool = pools.find((candidate) => candidate.maskSize === prefix.length && prefixContains(candidate.prefix, prefix));
    pool?.take(prefix);
    return pool === undefined ? undefined : prefix;
  }

  #poolsOf(prefix: Prefix): readonly PodCIDRPool[] {
    return this.#pools.get(familyOf(prefix.address)) ?? [];
  }
}

function createEntry(): NodeEntry {
  return { prefixes: [], problems: [], standing: undefined };
}

function change(entry: NodeEntry, changed: Partial<Pick<NodeEntry, "prefixes" | "problems">>): void {
  Object.assign(entry, changed, { standing: undefined });
}

function standingOf(entry: NodeEntry): NodeStanding {
  if (entry.standing === undefined) {
    const sorted = entry.prefixes.toSorted((one, other) => one.address.length - other.address.length);
    entry.standing = { podCIDRs: sorted.map(formatPrefix), problems: entry.problems };
  }
  return entry.standing;
}

function allocateFrom(pools: readonly PodCIDRPool[]): Prefix | undefined {
  for (const pool of pools) {
    const prefix = pool.allocate();
    if (prefix !== undefined) return prefix;
  }
  return undefined;
}

function exhausted(family: Family, pools: readonly PodCIDRPool[]): string {
  const texts = pools.map((pool) => `${formatPrefix(pool.prefix)} (${pool.used} of ${pool.capacity} /${pool.maskSize} in use)`);
  return `no IPv${family} pod CIDR is left in ${texts.join(", ")}; give the pool another prefix, or delete CiliumNodes of nodes that are gone`;
}

function refuseOverlaps(prefixes: readonly Prefix[]): void {
  for (const [index, one] of prefixes.entries()) {
    for (const other of prefixes.slice(index + 1)) {
      if (prefixContains(one, other) || prefixContains(other, one))
        throw new RangeError(`the pools ${formatPrefix(one)} and ${formatPrefix(other)} overlap: name each address once`);
    }
  }
}
