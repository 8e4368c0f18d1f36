import type { AddressPool, Allocation, AllocationResult, Expiration } from "./address-pool.ts";

/** Where the addresses of one family come from. */
export type FamilyAddresses = Pick<AddressPool, "prefix" | "capacity" | "size" | "allocateNext" | "allocate" | "release" | "snapshot">;

/** Addresses of a node; a family that is off has no pool. */
export interface AddressPools {
  readonly ipv4?: FamilyAddresses;
  readonly ipv6?: FamilyAddresses;
}

/** One address of each family that is on. Both carry deadlines of their own. */
export interface AddressPair {
  readonly ipv4?: Allocation;
  readonly ipv6?: Allocation;
}

export type PairResult = { readonly ok: true; readonly pair: AddressPair } | Extract<AllocationResult, { readonly ok: false }>;

/** An address of every family, or none: a pod with half of its addresses would be half reachable. */
export function allocatePair(pools: AddressPools, owner: string, expiration?: Expiration): PairResult {
  const pair: { ipv4?: Allocation; ipv6?: Allocation } = {};
  for (const family of ["ipv4", "ipv6"] as const) {
    const result = pools[family]?.allocateNext(owner, expiration);
    if (result === undefined) continue;
    if (!result.ok) {
      releasePair(pools, pair);
      return result;
    }
    pair[family] = result.allocation;
  }
  return { ok: true, pair };
}

/** Gives both addresses back; those that are free already stay so. */
export function releasePair(pools: AddressPools, pair: AddressPair): void {
  for (const family of ["ipv4", "ipv6"] as const) {
    const allocation = pair[family];
    if (allocation !== undefined) pools[family]?.release(allocation.address);
  }
}
