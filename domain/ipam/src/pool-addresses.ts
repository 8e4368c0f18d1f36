import {
  type Family,
  familyOf,
  formatPrefix,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixContains,
  prefixContainsAddress,
} from "@cilium-ts/net";
import { AddressPool, type Allocation, type AllocationResult, type Expiration } from "./address-pool.ts";

/** Pod CIDRs of one pool that are the node's. */
export interface PoolShare {
  readonly pool: string;
  readonly cidrs: readonly string[];
}

/** Addresses of a pool that the node needs in all. */
export interface PoolNeed {
  readonly pool: string;
  readonly ipv4: number;
  readonly ipv6: number;
}

/** What a pool is cut from now, by family; one that it does not have is absent. */
export type PoolPrefixes = ReadonlyMap<Family, readonly Prefix[]>;

export interface PoolAddressesOptions {
  /** Never given out: the routers. Their pod CIDRs are never spare. */
  readonly reserved: readonly string[];
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
  readonly createId: () => string;
}

interface Range {
  readonly pool: string;
  readonly prefix: Prefix;
  readonly addresses: AddressPool;
  /** Addresses in it that are reserved. */
  readonly reservedCount: number;
  /** The node's object names it. */
  isNamed: boolean;
  /** It is being given back: nothing of it is given out. */
  isLeaving: boolean;
}

/** Addresses that pod CIDRs of a length have for pods: the first and the last are nobody's, unless there are at most two. */
export function usableAddresses({ address, length }: Prefix): number {
  const bits = address.length * 8 - length;
  return bits <= 1 ? 2 ** bits : 2 ** bits - 2;
}

/**
 * The node's addresses where several pools give it pod CIDRs, which come and go. An address is given only of a CIDR that the node's object
 * names and its pool still has; one that is given stays its owner's whatever becomes of the pool, the object or the CIDR.
 */
export class PoolAddresses {
  readonly #options: PoolAddressesOptions;
  readonly #reserved: readonly Uint8Array[];
  /** By the CIDR's text, in the order in which they came. */
  readonly #ranges = new Map<string, Range>();
  /** Undefined until they are known. */
  #pools: ReadonlyMap<string, PoolPrefixes> | undefined;

  constructor(options: PoolAddressesOptions) {
    this.#options = options;
    this.#reserved = options.reserved.map(parseAddress).filter((address) => address !== undefined);
  }

  setPools(pools: ReadonlyMap<string, PoolPrefixes>): void {
    this.#pools = pools;
  }

  /** What the node's object names now. Of the rest, only what is in use stays. */
  take(shares: readonly PoolShare[]): void {
    const named = new Set<string>();
    for (const { pool, cidrs } of shares) {
      for (const text of cidrs) {
        const prefix = text.includes("/") ? parsePrefix(text) : undefined;
        if (prefix === undefined) continue; // The operator says so in the object's status.
        named.add(formatPrefix(prefix));
        this.#add(pool, prefix);
      }
    }
    for (const [text, range] of [...this.#ranges]) {
      range.isNamed = named.has(text);
      if (range.isNamed) range.isLeaving = false;
      else if (!isUsed(range)) this.#ranges.delete(text);
    }
  }

  /** All that the node has, used or not. */
  prefixes(): Prefix[] {
    return Array.from(this.#ranges.values(), ({ prefix }) => prefix);
  }

  /** The same, as an object names it. */
  shares(): PoolShare[] {
    const byPool = Map.groupBy(this.#ranges.values(), ({ pool }) => pool);
    return Array.from(byPool, ([pool, ranges]) => ({ pool, cidrs: ranges.map(({ prefix }) => formatPrefix(prefix)) }));
  }

  allocateNext(pool: string, family: Family, owner: string, expiration?: Expiration): AllocationResult {
    if (this.#pools === undefined) return refuse("full", `no address for ${owner}: the CiliumPodIPPools are not known yet`);
    let full = 0;
    for (const range of this.#open(pool, family)) {
      const result = range.addresses.allocateNext(owner, expiration);
      if (result.ok) return result;
      full += 1;
    }
    const known = this.#pools.get(pool);
    if (known === undefined) return refuse("full", `no address for ${owner}: there is no CiliumPodIPPool ${pool}`);
    if (known.get(family) === undefined) return refuse("full", `no address for ${owner}: the CiliumPodIPPool ${pool} has no IPv${family}`);
    const what = full === 0 ? "none" : `only ${full} pod CIDRs, all of them full,`;
    return refuse(
      "full",
      `no IPv${family} address for ${owner}: this node has ${what} of the CiliumPodIPPool ${pool}, and has asked for more`,
    );
  }

  /** This very address, for one that comes back or was asked for. */
  allocate(addressText: string, owner: string, expiration?: Expiration): AllocationResult {
    const range = this.#rangeOf(addressText);
    if (range !== undefined) return range.addresses.allocate(addressText, owner, expiration);
    const cidrs = this.prefixes().map(formatPrefix).join(", ");
    return refuse("outside", `${addressText} does not lie in the pod CIDRs of this node (${cidrs})`);
  }

  /** False when it was free already. */
  release(addressText: string): boolean {
    return this.#rangeOf(addressText)?.addresses.release(addressText) ?? false;
  }

  /** Takes back what was not claimed in time. */
  expire(): void {
    for (const { addresses } of this.#ranges.values()) addresses.expire();
  }

  snapshot(family: Family): Allocation[] {
    return [...this.#ranges.values()].flatMap(({ addresses }) => (addresses.family === family ? addresses.snapshot() : []));
  }

  capacity(family: Family): bigint {
    return [...this.#ranges.values()].reduce((sum, { addresses }) => sum + (addresses.family === family ? addresses.capacity : 0n), 0n);
  }

  /**
   * What the node should ask for: of each pool what is in use and waited for, with a reserve, in steps of the reserve. Used addresses of
   * CIDRs that their pool has no more do not count: the operator does not count those either.
   */
  needs(reserves: ReadonlyMap<string, number>, waiting: readonly PoolNeed[]): PoolNeed[] {
    const names = new Set([...reserves.keys(), ...waiting.map(({ pool }) => pool), ...[...this.#ranges.values()].map(({ pool }) => pool)]);
    const needs: PoolNeed[] = [];
    for (const pool of [...names].sort()) {
      const reserve = reserves.get(pool) ?? 0;
      const need = (family: Family): number => {
        if (this.#pools !== undefined && this.#pools.get(pool)?.get(family) === undefined) return 0;
        const waits = waiting.reduce((sum, each) => sum + (each.pool === pool ? (family === 4 ? each.ipv4 : each.ipv6) : 0), 0);
        const used = [...this.#open(pool, family)].reduce((sum, { addresses, reservedCount }) => sum + addresses.size + reservedCount, 0);
        return reserve === 0 ? used + waits : Math.ceil((used + waits + reserve) / reserve) * reserve;
      };
      const [ipv4, ipv6] = [need(4), need(6)];
      if (ipv4 + ipv6 > 0) needs.push({ pool, ipv4, ipv6 });
    }
    return needs;
  }

  /**
   * What the object should name, given what it names: not what is spare, but everything in use. Spare is what nobody uses and the needs
   * can do without, or the pool has no more. It is given to nobody from now on, until the object is heard to name it still.
   */
  trim(shown: readonly PoolShare[], needs: readonly PoolNeed[]): PoolShare[] {
    for (const range of this.#spare(needs)) range.isLeaving = true;
    const kept = new Map<string, string[]>();
    const keep = (pool: string, text: string): void => void kept.set(pool, [...(kept.get(pool) ?? []), text]);
    for (const { pool, cidrs } of shown) for (const text of cidrs) if (this.#ranges.get(text)?.isLeaving !== true) keep(pool, text);
    const named = new Set(shown.flatMap(({ cidrs }) => cidrs));
    for (const [text, range] of this.#ranges) if (!named.has(text) && isUsed(range)) keep(range.pool, text);
    return Array.from(kept, ([pool, cidrs]) => ({ pool, cidrs })).sort((one, other) => (one.pool < other.pool ? -1 : 1));
  }

  *#spare(needs: readonly PoolNeed[]): Generator<Range, void> {
    if (this.#pools === undefined) return;
    const groups = Map.groupBy(this.#ranges.values(), ({ pool, addresses }) => `${addresses.family} ${pool}`);
    for (const ranges of groups.values()) {
      const [{ pool, addresses }] = ranges as [Range];
      const need = needs.find((each) => each.pool === pool);
      const needed = (addresses.family === 4 ? need?.ipv4 : need?.ipv6) ?? 0;
      let capacity = ranges.reduce((sum, range) => sum + (this.#isOpen(range) ? usableAddresses(range.prefix) : 0), 0);
      for (const range of ranges.toReversed()) {
        if (isUsed(range) || range.isLeaving) continue;
        const own = this.#isOpen(range) ? usableAddresses(range.prefix) : 0;
        if (capacity - own < needed && own > 0) continue;
        capacity -= own;
        yield range;
      }
    }
  }

  #add(pool: string, prefix: Prefix): void {
    const text = formatPrefix(prefix);
    if (this.#ranges.has(text)) return;
    // Somebody wrote this by hand: an address must not be in two ranges.
    for (const range of this.#ranges.values()) if (prefixContains(range.prefix, prefix) || prefixContains(prefix, range.prefix)) return;
    const addresses = new AddressPool({ ...this.#options, prefix });
    const reservedCount = this.#reserved.filter((address) => prefixContainsAddress(prefix, address)).length;
    this.#ranges.set(text, { pool, prefix, addresses, reservedCount, isNamed: true, isLeaving: false });
  }

  *#open(pool: string, family: Family): Generator<Range, void> {
    for (const range of this.#ranges.values())
      if (range.pool === pool && range.addresses.family === family && this.#isOpen(range)) yield range;
  }

  #isOpen({ pool, prefix, isNamed, isLeaving }: Range): boolean {
    if (!isNamed || isLeaving) return false;
    const prefixes = this.#pools?.get(pool)?.get(familyOf(prefix.address)) ?? [];
    return prefixes.some((outer) => prefixContains(outer, prefix));
  }

  #rangeOf(addressText: string): Range | undefined {
    const address = parseAddress(addressText);
    if (address === undefined) return undefined;
    for (const range of this.#ranges.values()) if (prefixContainsAddress(range.prefix, address)) return range;
    return undefined;
  }
}

function isUsed({ addresses, reservedCount }: Range): boolean {
  return addresses.size > 0 || reservedCount > 0;
}

function refuse(reason: "full" | "outside", problem: string): AllocationResult {
  return { ok: false, reason, problem };
}
