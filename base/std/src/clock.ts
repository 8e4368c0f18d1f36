import { setTimeout as delay } from "node:timers/promises";

/** Time as a parameter, so that tests can be in charge of it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
  /** Resolves after the delay; rejects with the signal's reason when aborted. */
  sleep(delayMs: number, signal: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  async sleep(delayMs, signal) {
    signal.throwIfAborted();
    await delay(delayMs, undefined, { signal });
  },
};
