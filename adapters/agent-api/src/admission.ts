/**
 * How much work goes on at once. Whoever comes on top waits in line, first come first served, and is turned away only when the line
 * itself is full: that is a bound on memory, not on rate.
 */
export class Admission {
  readonly #runningMax: number;
  readonly #waitingMax: number;
  readonly #waiting = new Set<() => void>();
  #running = 0;
  #turnedAway = 0;

  constructor(options: { runningMax: number; waitingMax: number }) {
    this.#runningMax = options.runningMax;
    this.#waitingMax = options.waitingMax;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get turnedAway(): number {
    return this.#turnedAway;
  }

  /** Runs the work in its turn. `full`: the line is. Rejects with the signal's reason when aborted while waiting. */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<{ kind: "done"; value: T } | { kind: "full" }> {
    if (this.#running >= this.#runningMax) {
      if (this.#waiting.size >= this.#waitingMax) {
        this.#turnedAway += 1;
        return { kind: "full" };
      }
      await this.#turn(signal);
    } else {
      this.#running += 1;
    }
    try {
      return { kind: "done", value: await work() };
    } finally {
      const [next] = this.#waiting;
      if (next === undefined) this.#running -= 1;
      else next(); // The place is handed on, so that nobody can step in between.
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const go = (): void => {
        this.#waiting.delete(go);
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.delete(go);
        reject(signal.reason);
      };
      this.#waiting.add(go);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}
