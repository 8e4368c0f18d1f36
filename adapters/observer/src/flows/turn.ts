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

  /** Lets the others, and begins again. Of those in a line, however many they are, one has its turn between two turns of the others. */
  async next(line?: Line): Promise<void> {
    await (line === undefined ? nextTurn() : line.next());
    this.begin();
  }
}

/** For so many at a time; the others do without. */
export class Seats {
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  /** Undefined when all are taken. To be disposed of by who leaves. */
  take(): Disposable | undefined {
    if (this.#free === 0) return undefined;
    this.#free -= 1;
    return {
      [Symbol.dispose]: () => {
        this.#free += 1;
      },
    };
  }
}

/** Those who have much to look through, one behind the other. */
export class Line {
  #last: Promise<void> = Promise.resolve();

  /** Resolves when those who came before have had their turn. */
  next(): Promise<void> {
    this.#last = this.#last.then(() => nextTurn());
    return this.#last;
  }
}
