export { FlowStoreError } from "./errors.ts";
export { FlowStore, type FlowStoreCounts, type FlowStoreOptions } from "./flow-store.ts";
