export { MemoryClusterIdentities } from "./memory-cluster-allocator.ts";
