import type { Clock } from "./clock.ts";

/** A clock that stands still until a test moves it. */
export interface SimulatedClock extends Clock {
  /** How many sleep now. */
  readonly sleepers: number;
  /** Moves time on, waking each sleeper at its moment and letting everything that follows from it settle before the next. */
  advance(durationMs: number): Promise<void>;
}

interface Sleeper {
  readonly wakeAtMs: number;
  readonly wake: () => void;
}

export function createSimulatedClock(startMs = 1_700_000_000_000): SimulatedClock {
  let nowMs = startMs;
  const sleepers = new Set<Sleeper>();
  const next = (untilMs: number): Sleeper | undefined => {
    let first: Sleeper | undefined;
    for (const sleeper of sleepers)
      if (sleeper.wakeAtMs <= untilMs && (first === undefined || sleeper.wakeAtMs < first.wakeAtMs)) first = sleeper;
    return first;
  };
  return {
    nowMs: () => nowMs,
    sleep(delayMs, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason);
          return;
        }
        const stop = (): void => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        };
        const wake = (): void => {
          signal.removeEventListener("abort", stop);
          resolve();
        };
        const sleeper: Sleeper = { wakeAtMs: nowMs + Math.max(0, delayMs), wake };
        sleepers.add(sleeper);
        signal.addEventListener("abort", stop, { once: true });
      });
    },
    get sleepers() {
      return sleepers.size;
    },
    async advance(durationMs) {
      const untilMs = nowMs + durationMs;
      await settled();
      for (let sleeper = next(untilMs); sleeper !== undefined; sleeper = next(untilMs)) {
        nowMs = Math.max(nowMs, sleeper.wakeAtMs);
        sleepers.delete(sleeper);
        sleeper.wake();
        await settled();
      }
      nowMs = untilMs;
    },
  };
}

/** Every promise that can settle without time or I/O has done so. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
