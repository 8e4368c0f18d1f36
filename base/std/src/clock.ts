/** Time as a parameter, so that tests can be in charge of it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
  /** Resolves after the delay; rejects with the signal's reason when aborted. Delays longer than a timer can hold are cut to 24.8 days. */
  sleep(delayMs: number, signal: AbortSignal): Promise<void>;
}

/** The longest delay of setTimeout, which treats anything longer as 1 ms. */
const timerDelayMsMax = 0x7fff_ffff;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep(delayMs, signal) {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const stop = (): void => {
        clearTimeout(timer);
        reject(signal.reason);
      };
      const timer = setTimeout(
        () => {
          signal.removeEventListener("abort", stop);
          resolve();
        },
        Math.min(delayMs, timerDelayMsMax),
      );
      signal.addEventListener("abort", stop, { once: true });
    });
  },
};
