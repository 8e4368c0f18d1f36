import type { FlowContext, FlowRing } from "@cilium-ts/flow";
import { FlowStore } from "@cilium-ts/flow-store";
import type { Log } from "@cilium-ts/log";
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
