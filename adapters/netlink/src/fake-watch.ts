import type { Change } from "./backend.ts";

/** As the kernel's socket buffer, it holds so much for a slow reader, and then says that changes are missing. */
const pendingMax = 1024;

/** Joined when the call returns. */
export function watchFake<Row>(watchers: Set<(change: Change<Row>) => void>, signal: AbortSignal): AsyncIterable<Change<Row>> {
  let pending: Change<Row>[] = [];
  let filled = Promise.withResolvers<void>();
  const watcher = (change: Change<Row>): void => {
    if (pending.length >= pendingMax) pending = [{ kind: "overflow" }];
    else pending.push(change);
    filled.resolve();
  };
  const leave = (): void => {
    watchers.delete(watcher);
    signal.removeEventListener("abort", leave);
    filled.resolve();
  };
  async function* changes(): AsyncGenerator<Change<Row>, void> {
    try {
      while (!signal.aborted) {
        await filled.promise;
        const batch = pending;
        pending = [];
        filled = Promise.withResolvers<void>();
        for (const change of batch) {
          if (signal.aborted) return;
          yield change;
        }
      }
    } finally {
      leave();
    }
  }
  if (!signal.aborted) {
    watchers.add(watcher);
    signal.addEventListener("abort", leave, { once: true });
  }
  return changes();
}
