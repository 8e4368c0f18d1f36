import { usableAddresses } from "@cilium-ts/ipam";
import { addressToBigInt, type Family, familyOf, formatPrefix, type Prefix, parsePrefix, prefixContains } from "@cilium-ts/net";
import type { PodCIDRPoolOptions } from "./pod-cidr-allocator.ts";
import { PodCIDRPool } from "./pod-cidr-pool.ts";
import { PrefixOwners } from "./prefix-owners.ts";

/** What a pool's object says. A family that is absent has no addresses in it. */
export interface PodPoolOptions {
  readonly ipv4?: PodCIDRPoolOptions | undefined;
  readonly ipv6?: PodCIDRPoolOptions | undefined;
}

/** Pod CIDRs that a node's object names, of one pool. */
export interface PodPoolClaim {
  readonly pool: string;
  /** Canonical texts where we wrote them. */
  readonly cidrs: readonly string[];
}

/** How many addresses of a pool a node needs in all, those that it has included. */
export interface PodPoolRequest {
  readonly pool: string;
  readonly ipv4: number;
  readonly ipv6: number;
}

export interface PodPoolGrant {
  /** All that is the node's, sorted: by pool, IPv4 first, by address. */
  readonly allocated: readonly PodPoolClaim[];
  /** What the node asked for, or claims, and does not have, each a sentence. */
  readonly problems: readonly string[];
}

/** Pod CIDRs of one node, of one pool and family: whoever asks for more has made a mistake. */
const cidrsOfNodeMax = 1_024;

interface Holding {
  readonly pool: string;
  readonly prefix: Prefix;
}

/**
 * Which pod CIDRs of which pools belong to which node. As with PodCIDRAllocator: filled from what the nodes' objects say before anything
 * is given, and no two nodes ever hold overlapping CIDRs, whatever the pools are or become. The operator only adds, and only the node
 * itself lets go: what it holds of a pool that shrank or went stays its own, and is not given to others.
 */
export class PodPoolAllocator {
  readonly #pools = new Map<string, ReadonlyMap<Family, readonly PodCIDRPool[]>>();
  readonly #owners = new PrefixOwners();
  /** By node, and there by the CIDR's text. */
  readonly #nodes = new Map<string, Map<string, Holding>>();
  /** Claims of each node that another one's holdings, or nonsense, stand against. */
  readonly #conflicts = new Map<string, readonly string[]>();

  setPool(name: string, { ipv4, ipv6 }: PodPoolOptions): void {
    const families = new Map<Family, readonly PodCIDRPool[]>();
    for (const [family, options] of [
      [4, ipv4],
      [6, ipv6],
    ] as const) {
      if (options === undefined) continue;
      const pools = options.prefixes.map((prefix) => new PodCIDRPool(prefix, options.maskSize));
      for (const { prefix } of this.#holdings()) for (const pool of pools) pool.take(prefix);
      families.set(family, pools);
    }
    this.#pools.set(name, families);
  }

  removePool(name: string): void {
    this.#pools.delete(name);
  }

  /** Pod CIDRs of the pool in all, and those that cannot be given any more. */
  counts(name: string): { readonly capacity: bigint; readonly used: bigint } {
    let [capacity, used] = [0n, 0n];
    for (const pool of [...(this.#pools.get(name)?.values() ?? [])].flat()) {
      capacity += pool.capacity;
      used += pool.used;
    }
    return { capacity, used };
  }

  /**
   * Takes what a node's object names: what it names no more is free. With `keeps` nothing is let go: the object has been made anew, and
   * knows nothing of the node yet.
   */
  observe(name: string, claims: readonly PodPoolClaim[], { keeps }: { readonly keeps: boolean }): void {
    const held = this.#nodes.get(name) ?? new Map<string, Holding>();
    this.#nodes.set(name, held);
    const problems: string[] = [];
    const claimed: Holding[] = [];
    for (const { pool, cidrs } of claims) {
      for (const text of cidrs) {
        const prefix = text.includes("/") ? parsePrefix(text) : undefined;
        if (prefix === undefined)
          problems.push(`${JSON.stringify(text)} of pool ${pool} is no CIDR; take it out of spec.ipam.pools.allocated`);
        else claimed.push({ pool, prefix });
      }
    }
    const texts = new Set(claimed.map(({ prefix }) => formatPrefix(prefix)));
    if (!keeps) for (const [text, holding] of [...held]) if (!texts.has(text)) this.#release(held, text, holding);
    for (const holding of claimed) this.#claim(name, held, holding, problems);
    this.#conflicts.set(name, problems);
  }

  /** Gives the node what it lacks, as far as there is any. */
  assign(name: string, requests: readonly PodPoolRequest[]): PodPoolGrant {
    const problems = [...(this.#conflicts.get(name) ?? [])];
    const held = this.#nodes.get(name) ?? new Map<string, Holding>();
    this.#nodes.set(name, held);
    for (const { pool, ipv4, ipv6 } of requests) {
      const families = this.#pools.get(pool);
      if (families === undefined) {
        problems.push(`there is no CiliumPodIPPool ${pool}; make it, or use another in the annotation ipam.cilium.io/ip-pool`);
        continue;
      }
      for (const [family, needed] of [
        [4, ipv4],
        [6, ipv6],
      ] as const) {
        const problem = this.#assignFamily(name, held, pool, family, needed);
        if (problem !== undefined) problems.push(problem);
      }
    }
    return { allocated: sorted(held.values()), problems };
  }

  /** The node is gone, and so is what it held. */
  forget(name: string): void {
    const held = this.#nodes.get(name);
    if (held === undefined) return;
    for (const [text, holding] of [...held]) this.#release(held, text, holding);
    this.#nodes.delete(name);
    this.#conflicts.delete(name);
  }

  /** Every node that was observed, and not forgotten. */
  names(): Iterable<string> {
    return this.#nodes.keys();
  }

  #assignFamily(name: string, held: Map<string, Holding>, pool: string, family: Family, needed: number): string | undefined {
    const pools = this.#pools.get(pool)?.get(family);
    if (pools === undefined) return undefined; // A pool of the other family; who needs this one is told when asking for an address.
    const own = [...held.values()].filter(
      (holding) =>
        holding.pool === pool &&
        familyOf(holding.prefix.address) === family &&
        pools.some((each) => prefixContains(each.prefix, holding.prefix)),
    );
    let [count, usable] = [own.length, own.reduce((sum, { prefix }) => sum + usableAddresses(prefix), 0)];
    for (; usable < needed; count += 1) {
      if (count >= cidrsOfNodeMax)
        return `the node asks for ${needed} addresses of pool ${pool}: ${cidrsOfNodeMax} pod CIDRs of a node are the most`;
      const prefix = allocateFrom(pools);
      if (prefix === undefined) return exhausted(pool, family, pools);
      this.#hold(name, held, { pool, prefix });
      usable += usableAddresses(prefix);
    }
    return undefined;
  }

  #claim(name: string, held: Map<string, Holding>, holding: Holding, problems: string[]): void {
    const text = formatPrefix(holding.prefix);
    const known = held.get(text);
    if (known !== undefined) {
      if (known.pool !== holding.pool) held.set(text, holding);
      return;
    }
    const other = this.#owners.holderOf(holding.prefix);
    if (other === undefined) this.#hold(name, held, holding);
    else {
      const what = `${text} of pool ${holding.pool} overlaps ${formatPrefix(other.prefix)} of`;
      const whom = other.owner === name ? "this node itself" : `node ${other.owner}`;
      problems.push(`${what} ${whom}; move the pods of one of the two to other nodes, and delete its CiliumNode`);
    }
  }

  /** Pools may overlap each other, now or later: what is held is taken in all of them. */
  #hold(name: string, held: Map<string, Holding>, holding: Holding): void {
    this.#owners.hold(holding.prefix, name);
    held.set(formatPrefix(holding.prefix), holding);
    for (const pool of this.#poolsOf(holding.prefix)) pool.take(holding.prefix);
  }

  #release(held: Map<string, Holding>, text: string, { prefix }: Holding): void {
    held.delete(text);
    this.#owners.release(prefix);
    for (const pool of this.#poolsOf(prefix)) pool.release(prefix);
  }

  *#poolsOf(prefix: Prefix): Generator<PodCIDRPool, void> {
    for (const families of this.#pools.values()) yield* families.get(familyOf(prefix.address)) ?? [];
  }

  *#holdings(): Generator<Holding, void> {
    for (const held of this.#nodes.values()) yield* held.values();
  }
}

/** The first free one; not taken yet. */
function allocateFrom(pools: readonly PodCIDRPool[]): Prefix | undefined {
  for (const pool of pools) {
    const prefix = pool.allocate();
    if (prefix === undefined) continue;
    pool.release(prefix); // Whoever holds it takes it in every pool.
    return prefix;
  }
  return undefined;
}

function sorted(holdings: Iterable<Holding>): PodPoolClaim[] {
  const byPool = Map.groupBy(holdings, ({ pool }) => pool);
  return [...byPool.keys()].sort().map((pool) => ({
    pool,
    cidrs: (byPool.get(pool) ?? [])
      .map(({ prefix }) => prefix)
      .sort(byAddress)
      .map(formatPrefix),
  }));
}

function byAddress(one: Prefix, other: Prefix): number {
  if (one.address.length !== other.address.length) return one.address.length - other.address.length;
  const [left, right] = [addressToBigInt(one.address), addressToBigInt(other.address)];
  return left < right ? -1 : left > right ? 1 : one.length - other.length;
}

function exhausted(name: string, family: Family, pools: readonly PodCIDRPool[]): string {
  const texts = pools.map((pool) => `${formatPrefix(pool.prefix)} (${pool.used} of ${pool.capacity} /${pool.maskSize} in use)`);
  return `no IPv${family} pod CIDR is left in the CiliumPodIPPool ${name}: ${texts.join(", ")}; add a CIDR to it, or delete pods that use it`;
}
