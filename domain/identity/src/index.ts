export { cidrLabel, cidrLabelContains, cidrLabels, prefixesOfLabels, prefixOfCidrLabel, prefixOfLabels } from "./cidr-labels.ts";
export type { ClusterIdentityAllocator, Identity } from "./cluster-allocator.ts";
export { Ipcache, type IpcacheChange, type IpcacheRow, type IpcacheSource, type IpcacheValue, ipcacheSources } from "./ipcache.ts";
export { type LocalAllocation, type LocalIdentity, LocalIdentityAllocator } from "./local-allocator.ts";
export { reservedIdentities, reservedIdentityByName, reservedLabels, reservedName, reservedPeers } from "./reserved.ts";
export {
  clusterIdentityMax,
  clusterIdentityMin,
  type IdentityScope,
  identityScope,
  localIdentityCountMax,
  localIdentityMax,
  localIdentityMin,
} from "./scope.ts";
