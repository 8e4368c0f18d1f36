import { randomUUID } from "node:crypto";
import { type AddressPools, allocatePair, AddressPool as FamilyPool } from "@cilium-ts/ipam";
import { type AddressBytes, addressFromBigInt, addressToBigInt, familyOf, formatAddress, type Prefix, parseAddress } from "@cilium-ts/net";
import type { Clock } from "@cilium-ts/std";
import { CniError, cniErrorCode } from "../cni/cni-request.ts";
import type { AgentOptions } from "../settings.ts";
import type { AddressPool } from "./address-pool.ts";

/** The node's addresses: a pool for each family, and the routers in them. */
export interface NodePool extends AddressPool {
  readonly pools: Required<AddressPools>;
  readonly routerIPv4: AddressBytes;
  readonly routerIPv6: AddressBytes;
  /** Takes back what was allocated over the API with a deadline, and not claimed before it. */
  expire(): void;
}

/** The first address of each range is the router's. */
export function createNodePool(options: Pick<AgentOptions, "ipv4Range" | "ipv6Range">, clock: Clock): NodePool {
  const routerIPv4 = firstAddress(options.ipv4Range);
  const routerIPv6 = firstAddress(options.ipv6Range);
  const createPool = (prefix: Prefix, router: AddressBytes): FamilyPool =>
    new FamilyPool({ prefix, reserved: [formatAddress(router)], nowMs: () => clock.nowMs(), createId: randomUUID });
  const pools = { ipv4: createPool(options.ipv4Range, routerIPv4), ipv6: createPool(options.ipv6Range, routerIPv6) };
  const poolOf = (address: AddressBytes): FamilyPool => (familyOf(address) === 4 ? pools.ipv4 : pools.ipv6);
  return {
    pools,
    routerIPv4,
    routerIPv6,
    allocate(owner) {
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

function firstAddress(prefix: Prefix): AddressBytes {
  return addressFromBigInt(addressToBigInt(prefix.address) + 1n, familyOf(prefix.address));
}

function bytesOf(text: string | undefined): AddressBytes {
  const bytes = parseAddress(text ?? "");
  if (bytes === undefined) throw new Error("the pool gave out no address of one family");
  return bytes;
}
