import { randomUUID } from "node:crypto";
import { type AddressPools, allocatePair, AddressPool as FamilyPool } from "@cilium-ts/ipam";
import { type AddressBytes, addressFromBigInt, addressToBigInt, familyOf, formatAddress, type Prefix, parseAddress } from "@cilium-ts/net";
import type { Clock } from "@cilium-ts/std";
import { CniError, cniErrorCode } from "../cni/cni-request.ts";
import type { AddressPool } from "./address-pool.ts";
import type { PodRanges } from "./pod-ranges.ts";

/** The node's addresses: a pool for each family, and the routers in them. */
export interface NodePool extends AddressPool {
  /** Of several pools: the default one, or of the API's requests the one that is named. Their prefixes are those of the routers. */
  readonly pools: Required<AddressPools>;
  poolsNamed(name: string): Required<AddressPools>;
  readonly routerIPv4: AddressBytes;
  readonly routerIPv6: AddressBytes;
  /** All pod CIDRs of the node, now. */
  prefixes(): readonly Prefix[];
  /** Calls the listener when they are others. The returned function ends that. */
  watchPrefixes(listener: () => void): () => void;
  /** Takes back what was allocated over the API with a deadline, and not claimed before it. */
  expire(): void;
  /** What is wrong with the node's share of addresses; undefined: nothing. */
  problem(): string | undefined;
}

/** One range of each family, for good. The first address of each is the router's. */
export function createNodePool(ranges: PodRanges, clock: Clock): NodePool {
  const { routerIPv4, routerIPv6 } = routersOf(ranges);
  const createPool = (prefix: Prefix, router: AddressBytes): FamilyPool =>
    new FamilyPool({ prefix, reserved: [formatAddress(router)], nowMs: () => clock.nowMs(), createId: randomUUID });
  const pools = { ipv4: createPool(ranges.ipv4Range, routerIPv4), ipv6: createPool(ranges.ipv6Range, routerIPv6) };
  const poolOf = (address: AddressBytes): FamilyPool => (familyOf(address) === 4 ? pools.ipv4 : pools.ipv6);
  return {
    pools,
    poolsNamed: () => pools,
    routerIPv4,
    routerIPv6,
    prefixes: () => [ranges.ipv4Range, ranges.ipv6Range],
    watchPrefixes: () => () => {},
    problem: () => undefined,
    async allocate(owner) {
      const result = allocatePair(pools, owner);
      if (!result.ok) throw new CniError(cniErrorCode.tryAgainLater, result.problem);
      return { ipv4: bytesOf(result.pair.ipv4?.address), ipv6: bytesOf(result.pair.ipv6?.address) };
    },
    claim(address, owner) {
      const result = poolOf(address).allocate(formatAddress(address), owner);
      if (!result.ok) throw new Error(result.problem);
    },
    expire() {
      for (const pool of [pools.ipv4, pools.ipv6]) pool.expire();
    },
    release: (address) => void poolOf(address).release(formatAddress(address)),
  };
}

/** The first address of each range. */
export function routersOf({ ipv4Range, ipv6Range }: PodRanges): { readonly routerIPv4: AddressBytes; readonly routerIPv6: AddressBytes } {
  const first = (prefix: Prefix): AddressBytes => addressFromBigInt(addressToBigInt(prefix.address) + 1n, familyOf(prefix.address));
  return { routerIPv4: first(ipv4Range), routerIPv6: first(ipv6Range) };
}

export function bytesOf(text: string | undefined): AddressBytes {
  const bytes = parseAddress(text ?? "");
  if (bytes === undefined) throw new Error("the pool gave out no address of one family");
  return bytes;
}
