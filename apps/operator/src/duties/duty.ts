import type { KubernetesClient } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { type ReadonlyTable, reconcile, type Target } from "@cilium-ts/state";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { Cluster } from "../cluster/cluster.ts";
import type { OperatorMetrics } from "../operator-metrics.ts";

/** What every duty of a leader works with. */
export interface DutyWorld {
  readonly cluster: Cluster;
  /** Writes only while we lead. */
  readonly writer: KubernetesClient;
  readonly clock: Clock;
  /** Milliseconds of a clock that nobody sets. */
  readonly monotonicMs: () => number;
  readonly log: Log;
  readonly metrics: OperatorMetrics;
}

/** Keeps a target equal to its table; each failure is said once until it is over. */
export function keep<Row>(
  { clock, log }: DutyWorld,
  options: {
    readonly what: string;
    readonly desired: ReadonlyTable<string, Row>;
    readonly target: Target<string, Row>;
    /** How often the target is asked what it has, and so how soon a row that waits for something is tried again. */
    readonly resyncIntervalMs: number;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { what, desired, target, resyncIntervalMs, signal } = options;
  const failing = new Set<string>();
  return reconcile({
    desired,
    target,
    clock,
    signal,
    resyncIntervalMs,
    retryDelayMs: (attempt) => Math.min(100 * 2 ** attempt, 30_000),
    onResult(key, failure) {
      const name = key === undefined ? what : `${what} ${key}`;
      if (failure === undefined) failing.delete(name);
      else if (!failing.has(name)) {
        failing.add(name);
        log.warn(`${name} is not as it should be, and is tried again: ${errorMessage(failure)}`);
      }
    },
  });
}

/** Does a pass now and after each interval, until aborted. A pass that fails is reported, and its work is left to the next one. */
export async function inPasses(
  { clock, log }: DutyWorld,
  options: { readonly what: string; readonly intervalMs: number; readonly signal: AbortSignal; pass(): Promise<void> },
): Promise<void> {
  const { what, intervalMs, signal, pass } = options;
  while (!signal.aborted) {
    try {
      await pass();
    } catch (cause) {
      if (signal.aborted) return;
      log.warn(`${what} failed, and is tried again in ${Math.round(intervalMs / 1000)} s: ${errorMessage(cause)}`);
    }
    await clock.sleep(intervalMs, signal).catch(() => {}); // Rejects only on abort.
  }
}

/** True once all tables have had their first list; false when aborted before that. */
export async function areSynced(tables: readonly { readonly synced: Promise<void> }[], signal: AbortSignal): Promise<boolean> {
  const stopped = Promise.withResolvers<void>();
  const stop = (): void => stopped.resolve();
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  await Promise.race([Promise.all(tables.map(({ synced }) => synced)), stopped.promise]);
  signal.removeEventListener("abort", stop);
  return !signal.aborted;
}
