import { type Clock, toError } from "@cilium-ts/std";
import type { KeyQueue } from "./key-queue.ts";
import type { ReadonlyTable } from "./table.ts";
import type { Target } from "./target.ts";

export interface ReconcileOptions<K, Row> {
  desired: ReadonlyTable<K, Row>;
  target: Target<K, Row>;
  clock: Clock;
  signal: AbortSignal;
  retryDelayMs: (attempt: number) => number;
  resyncIntervalMs: number;
  /** The most rows or keys of one batch call. What one kernel batch call does well, when absent: 4,096. */
  batchSizeMax?: number;
  /** The latest outcome for one row, or for listing the world when the key is undefined. */
  onResult: (key: K | undefined, failure: Error | undefined) => void;
}

/**
 * Keeps the target equal to the desired table until aborted.
 *
 * A change, a retry, and a difference found by listing the world all do the same thing: they mark
 * the key. One loop drains the marks and makes the world match the key's row, so no two operations
 * on one key ever overlap, and a row that changes a thousand times while the target is slow costs
 * one operation. A failing row is reported and retried; it never stops the loop.
 *
 * Among keys marked together, removals go first: they make room, and free what a new row may need.
 */
export async function reconcile<K, Row>(options: ReconcileOptions<K, Row>): Promise<void> {
  if (options.signal.aborted) return;
  using queue = options.desired.watch();
  const reconciliation = new Reconciliation(options, queue);
  await Promise.all([reconciliation.drain(), reconciliation.resync()]);
}

class Reconciliation<K, Row> {
  readonly #options: ReconcileOptions<K, Row>;
  readonly #queue: KeyQueue<K>;
  /** Failures in a row, by key. */
  readonly #attempts = new Map<K, number>();
  /** Keys with a retry under way: at most one each, however often a failing row changes. */
  readonly #retrying = new Set<K>();

  constructor(options: ReconcileOptions<K, Row>, queue: KeyQueue<K>) {
    this.#options = options;
    this.#queue = queue;
  }

  async drain(): Promise<void> {
    const { desired, signal, batchSizeMax = 4096 } = this.#options;
    for await (const keys of this.#queue.batches(signal)) {
      const present: K[] = [];
      const absent: K[] = [];
      for (const key of keys) (desired.get(key) === undefined ? absent : present).push(key);
      for (let start = 0; start < absent.length; start += batchSizeMax) await this.#remove(absent.slice(start, start + batchSizeMax));
      for (let start = 0; start < present.length; start += batchSizeMax) await this.#apply(present.slice(start, start + batchSizeMax));
    }
  }

  /** Whoever came back since the keys were sorted is marked again, and waits for the next round. */
  async #remove(keys: readonly K[]): Promise<void> {
    const { desired, target, signal } = this.#options;
    if (target.removeBatch === undefined) {
      for (const key of keys) if (desired.get(key) === undefined) await this.#attempt(key, () => target.remove(key, signal));
      return;
    }
    const absent = keys.filter((key) => desired.get(key) === undefined);
    await this.#attemptBatch(absent, () => target.removeBatch?.(absent, signal));
  }

  /** Whoever has gone since the keys were sorted is marked again, and waits for the next round. */
  async #apply(keys: readonly K[]): Promise<void> {
    const { desired, target, signal } = this.#options;
    if (target.applyBatch === undefined) {
      for (const key of keys) {
        const row = desired.get(key);
        if (row !== undefined) await this.#attempt(key, () => target.apply(row, signal));
      }
      return;
    }
    const rows: Readonly<Row>[] = [];
    const present: K[] = [];
    for (const key of keys) {
      const row = desired.get(key);
      if (row === undefined) continue;
      rows.push(row);
      present.push(key);
    }
    await this.#attemptBatch(present, () => target.applyBatch?.(rows, signal));
  }

  async #attempt(key: K, operation: () => Promise<void>): Promise<void> {
    if (this.#options.signal.aborted) return;
    let failure: Error | undefined;
    try {
      await operation();
    } catch (cause) {
      failure = toError(cause);
    }
    this.#settle(key, failure);
  }

  async #attemptBatch(keys: readonly K[], operation: () => Promise<ReadonlyMap<K, Error>> | undefined): Promise<void> {
    if (keys.length === 0 || this.#options.signal.aborted) return;
    let failures: ReadonlyMap<K, Error> | undefined;
    let failure: Error | undefined;
    try {
      failures = await operation();
    } catch (cause) {
      failure = toError(cause);
    }
    for (const key of keys) this.#settle(key, failure ?? failures?.get(key));
  }

  #settle(key: K, failure: Error | undefined): void {
    const { signal, onResult } = this.#options;
    if (failure === undefined) this.#attempts.delete(key);
    else if (signal.aborted) return;
    else this.#retryLater(key);
    onResult(key, failure);
  }

  #retryLater(key: K): void {
    const { clock, signal, retryDelayMs } = this.#options;
    const attempt = (this.#attempts.get(key) ?? 0) + 1;
    this.#attempts.set(key, attempt);
    if (this.#retrying.has(key)) return;
    this.#retrying.add(key);
    const retry = (): void => {
      this.#retrying.delete(key);
      if (this.#attempts.has(key)) this.#queue.mark(key); // Not when a change has made it succeed meanwhile.
    };
    clock.sleep(retryDelayMs(attempt), signal).then(retry, () => {}); // Rejects only on abort.
  }

  /** What fails is looked at when its time comes, however often the world is listed meanwhile. */
  #markUnlessRetrying(key: K): void {
    if (!this.#retrying.has(key)) this.#queue.mark(key);
  }

  /** Finds what no event will report: leftovers of an earlier run, and rows that others removed. */
  async resync(): Promise<void> {
    const { desired, target, clock, signal, retryDelayMs, resyncIntervalMs, onResult } = this.#options;
    await settledOrAborted(desired.synced, signal); // A leftover removed before every source has spoken may be live traffic.
    for (let failures = 0; !signal.aborted; ) {
      try {
        const realised = new Set(await target.realised(signal));
        for (const key of realised) if (desired.get(key) === undefined) this.#markUnlessRetrying(key);
        for (const key of desired.keys()) if (!realised.has(key)) this.#markUnlessRetrying(key);
        failures = 0;
        onResult(undefined, undefined);
      } catch (cause) {
        if (signal.aborted) return;
        failures += 1;
        onResult(undefined, toError(cause));
      }
      const delayMs = failures === 0 ? resyncIntervalMs : retryDelayMs(failures);
      await clock.sleep(delayMs, signal).catch(() => {}); // Rejects only on abort.
    }
  }
}

async function settledOrAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const stopped = Promise.withResolvers<void>();
  const stop = (): void => stopped.resolve();
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  await Promise.race([promise, stopped.promise]);
  signal.removeEventListener("abort", stop);
}
