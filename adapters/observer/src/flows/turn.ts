import { setImmediate as nextTurn } from "node:timers/promises";

/** Events looked at before others get the thread, however cheap each is. */
const eventCountMax = 2_000;
const durationNsMax = 10_000_000;
/** Reading the clock takes longer than most events. */
const clockEvery = 16;

/** A share of the thread: expensive filters get as much of it as cheap ones, and look at fewer events. */
export class Turn {
  readonly #nowNs: () => number;
  #startedNs = 0;
  #count = 0;

  /** CLOCK_MONOTONIC. */
  constructor(nowNs: () => number) {
    this.#nowNs = nowNs;
  }

  begin(): void {
    this.#count = 0;
    this.#startedNs = this.#nowNs();
  }

  /** To be asked after each event. */
  isOver(): boolean {
    this.#count += 1;
    if (this.#count >= eventCountMax) return true;
    return this.#count % clockEvery === 0 && this.#nowNs() - this.#startedNs > durationNsMax;
  }

  /** Lets the others, and begins again. */
  async next(): Promise<void> {
    await nextTurn();
    this.begin();
  }
}
