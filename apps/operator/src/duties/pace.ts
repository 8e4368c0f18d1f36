import type { Clock } from "@cilium-ts/std";

/** Lets through a burst, and after that so many a second. */
export class Pace {
  readonly #clock: Clock;
  readonly #monotonicMs: () => number;
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #countedAtMs: number;

  constructor(options: { readonly clock: Clock; readonly monotonicMs: () => number; readonly perSecond: number; readonly burst: number }) {
    this.#clock = options.clock;
    this.#monotonicMs = options.monotonicMs;
    this.#perSecond = options.perSecond;
    this.#burst = options.burst;
    this.#tokens = options.burst;
    this.#countedAtMs = options.monotonicMs();
  }

  /** Resolves when it is our turn; rejects when aborted. */
  async take(signal: AbortSignal): Promise<void> {
    const nowMs = this.#monotonicMs();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#countedAtMs) * this.#perSecond) / 1000);
    this.#countedAtMs = nowMs;
    this.#tokens -= 1;
    if (this.#tokens < 0) await this.#clock.sleep((-this.#tokens * 1000) / this.#perSecond, signal);
  }
}
