export {
  type Assignment,
  type NodeClaim,
  type NodeStanding,
  PodCIDRAllocator,
  type PodCIDRAllocatorOptions,
  type PodCIDRPoolOptions,
} from "./pod-cidr-allocator.ts";
export { PodCIDRPool } from "./pod-cidr-pool.ts";
export { PodPoolAllocator, type PodPoolClaim, type PodPoolGrant, type PodPoolOptions, type PodPoolRequest } from "./pod-pool-allocator.ts";
