export {
  type Assignment,
  type NodeClaim,
  type NodeStanding,
  PodCIDRAllocator,
  type PodCIDRAllocatorOptions,
  type PodCIDRPoolOptions,
} from "./pod-cidr-allocator.ts";
export { PodCIDRPool } from "./pod-cidr-pool.ts";
