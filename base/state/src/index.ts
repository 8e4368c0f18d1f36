export { KeyQueue } from "./key-queue.ts";
export { type ReconcileOptions, reconcile } from "./reconcile.ts";
export { type ReadonlyTable, Table, type TableOptions } from "./table.ts";
export type { Target } from "./target.ts";
