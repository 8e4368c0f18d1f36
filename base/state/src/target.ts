/**
 * One kind of row in the outside world. Every operation is idempotent.
 *
 * A target whose world has a call for many rows at once also offers the batch forms; they are then used instead. A batch answers
 * which keys failed, and why (an empty map: none); one that throws has failed for every key, and all are tried again.
 */
export interface Target<K, Row> {
  apply(row: Readonly<Row>, signal: AbortSignal): Promise<void>;
  /** Removing what is already absent succeeds. */
  remove(key: K, signal: AbortSignal): Promise<void>;
  /** What the world holds now, including leftovers of an earlier run. A key whose value has drifted is left out. */
  realised(signal: AbortSignal): Promise<Iterable<K>>;
  applyBatch?(rows: readonly Readonly<Row>[], signal: AbortSignal): Promise<ReadonlyMap<K, Error>>;
  removeBatch?(keys: readonly K[], signal: AbortSignal): Promise<ReadonlyMap<K, Error>>;
}
