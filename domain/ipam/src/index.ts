export { type AddressPair, type AddressPools, allocatePair, type PairResult, releasePair } from "./address-pair.ts";
export { AddressPool, type AddressPoolOptions, type Allocation, type AllocationResult, type Expiration } from "./address-pool.ts";
