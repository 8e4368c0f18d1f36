export { ApiError } from "../serve/api-error.ts";
export { type EtcdCluster, type EtcdMember, startEtcd } from "./etcd-process.ts";
export { createMemoryStore } from "./memory-store.ts";
export { type KindReference, type ObjectChange, ObjectLayer, type ObjectLayerOptions, type Scope } from "./object-layer.ts";
export { checkStoreContract } from "./store-contract.ts";
export { startTestServer, type TestServer } from "./test-server.ts";
