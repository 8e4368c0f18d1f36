export { type AddressPair, type AddressPools, allocatePair, type FamilyAddresses, type PairResult, releasePair } from "./address-pair.ts";
export { AddressPool, type AddressPoolOptions, type Allocation, type AllocationResult, type Expiration } from "./address-pool.ts";
export { PoolAddresses, type PoolNeed, type PoolPrefixes, type PoolShare, usableAddresses } from "./pool-addresses.ts";
