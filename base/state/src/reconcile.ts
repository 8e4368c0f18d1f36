import { type Clock, toError } from "@cilium-ts/std";
import type { ReadonlyTable } from "./table.ts";

/** One kind of row in the outside world. Every operation is idempotent. */
export interface Target<K, Row> {
  apply(row: Readonly<Row>, signal: AbortSignal): Promise<void>;
  /** Removing what is already absent succeeds. */
  remove(key: K, signal: AbortSignal): Promise<void>;
  /** What the world holds now, including leftovers of an earlier run. */
  realised(signal: AbortSignal): Promise<Iterable<K>>;
}

export interface ReconcileOptions<K, Row> {
  desired: ReadonlyTable<K, Row>;
  target: Target<K, Row>;
  clock: Clock;
  signal: AbortSignal;
  retryDelayMs: (attempt: number) => number;
  resyncIntervalMs: number;
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
 */
export async function reconcile<K, Row>(options: ReconcileOptions<K, Row>): Promise<void> {
  const { desired, target, clock, signal, retryDelayMs, resyncIntervalMs, onResult } = options;
  if (signal.aborted) return;
  using queue = desired.watch();
  const attempts = new Map<K, number>();

  async function drain(): Promise<void> {
    for await (const keys of queue.batches(signal)) {
      for (const key of keys) await settle(key);
    }
  }

  async function settle(key: K): Promise<void> {
    const row = desired.get(key);
    try {
      if (row === undefined) await target.remove(key, signal);
      else await target.apply(row, signal);
    } catch (cause) {
      if (signal.aborted) return;
      const attempt = (attempts.get(key) ?? 0) + 1;
      attempts.set(key, attempt);
      onResult(key, toError(cause));
      clock.sleep(retryDelayMs(attempt), signal).then(() => queue.mark(key), () => {}); // Rejects only on abort.
      return;
    }
    attempts.delete(key);
    onResult(key, undefined);
  }

  /** Finds what no event will report: leftovers of an earlier run, and rows that others removed. */
  async function resync(): Promise<void> {
    const stopped = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    await Promise.race([desired.synced, stopped]); // A leftover removed before every source has spoken may be live traffic.
    for (let failures = 0; !signal.aborted; ) {
      try {
        const realised = new Set(await target.realised(signal));
        for (const key of realised) if (desired.get(key) === undefined) queue.mark(key);
        for (const key of desired.keys()) if (!realised.has(key)) queue.mark(key);
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

  await Promise.all([drain(), resync()]);
}
