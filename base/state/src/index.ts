export { KeyQueue } from "./key-queue.ts";
export { type ReconcileOptions, reconcile, type Target } from "./reconcile.ts";
export { type ReadonlyTable, Table } from "./table.ts";
