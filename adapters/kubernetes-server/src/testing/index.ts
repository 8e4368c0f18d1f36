export { createMemoryStore } from "./memory-store.ts";
export { checkStoreContract } from "./store-contract.ts";
export { startTestServer, type TestServer } from "./test-server.ts";
