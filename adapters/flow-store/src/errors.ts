/** The history on disk cannot be read or written. */
export class FlowStoreError extends Error {
  override readonly name = "FlowStoreError";
}
