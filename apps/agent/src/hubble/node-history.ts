import type { FlowContext, FlowRing } from "@cilium-ts/flow";
import { FlowStore } from "@cilium-ts/flow-store";
import type { Log } from "@cilium-ts/log";
import type { Metrics } from "@cilium-ts/metrics";
import type { Clock } from "@cilium-ts/std";

/** How much of the past is kept on the disk. */
export interface HistorySettings {
  readonly directory: string;
  readonly sizeBytesMax: number;
  readonly ageMsMax: number;
  /** Of the sums of traffic. */
  readonly traffic: { readonly sizeBytesMax: number; readonly ageMsMax: number };
}

export interface NodeHistory extends AsyncDisposable {
  readonly store: FlowStore;
}

/** Keeps the ring's flows on the disk until disposed; then what is in memory goes there too. */
export function startNodeHistory(parts: {
  readonly settings: HistorySettings;
  readonly ring: FlowRing;
  readonly context: FlowContext;
  readonly clock: Clock;
  readonly log: Log;
}): NodeHistory {
  const { settings, ring, context, clock, log } = parts;
  const store = new FlowStore({ ...settings, ring, context, clock, onProblem: (message) => log.warn(message) });
  const stop = new AbortController();
  const running = store.run(stop.signal);
  return {
    store,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

/** Names of our own: Hubble keeps no history. To be called before the metrics are read. */
export function measureHistory(store: FlowStore, registry: Metrics): () => void {
  const events = registry.counter("hubble_history_events_total", "Events that were kept on the disk, and that were not");
  const failures = registry.counter("hubble_history_failures_total", "Writes and reads of the history that failed");
  const damaged = registry.counter("hubble_history_damaged_total", "Pieces of the history that were damaged, and left out");
  const bytes = registry.gauge("hubble_history_bytes", "What the history takes on the disk");
  const oldest = registry.gauge("hubble_history_oldest_timestamp_seconds", "When the oldest flow on the disk happened; 0: there is none");
  let told = { stored: 0, lost: 0, failures: 0, damaged: 0 };
  return () => {
    const now = { ...store.counts };
    events.increase({ outcome: "kept" }, now.stored - told.stored);
    events.increase({ outcome: "lost" }, now.lost - told.lost);
    failures.increase({}, now.failures - told.failures);
    damaged.increase({}, now.damaged - told.damaged);
    told = now;
    bytes.set(store.sizeBytes, { kind: "flows" });
    bytes.set(store.traffic.sizeBytes, { kind: "traffic" });
    oldest.set(Number((store.oldest ?? 0n) / 1_000_000n) / 1_000);
  };
}
