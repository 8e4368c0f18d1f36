import type { Clock } from "@cilium-ts/std";

interface Sleeper {
  readonly atMs: number;
  /** Who fell asleep first wakes first. */
  readonly number: number;
  /** Undefined: nobody waits any more. */
  wake: (() => void) | undefined;
}

/** One time for everybody, which moves only when it is told to; and clocks on walls, which may be wrong. */
export class SimulatedTime {
  readonly #startMs = 1_700_000_000_000;
  readonly #sleepers: Sleeper[] = [];
  #elapsedMs = 0;
  #count = 0;
  /** Work under way that takes turns of the event loop, and no time. */
  #busy = 0;

  /** Milliseconds since the beginning. */
  get elapsedMs(): number {
    return this.#elapsedMs;
  }

  /** A clock that is wrong by so much. */
  clock(offsetMs: () => number = () => 0): Clock {
    return {
      nowMs: () => this.#startMs + this.#elapsedMs + offsetMs(),
      sleep: (delayMs, signal) => this.sleep(delayMs, signal),
    };
  }

  sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const stop = (): void => {
        sleeper.wake = undefined;
        reject(signal.reason);
      };
      this.#count += 1;
      const sleeper: Sleeper = {
        atMs: this.#elapsedMs + Math.max(0, Math.ceil(delayMs)),
        number: this.#count,
        wake() {
          signal.removeEventListener("abort", stop);
          resolve();
        },
      };
      signal.addEventListener("abort", stop, { once: true });
      this.#push(sleeper);
    });
  }

  /** Time stands still until the work is done. */
  async still<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#busy += 1;
    try {
      return await work();
    } finally {
      this.#busy -= 1;
    }
  }

  /** Moves time on, from sleeper to sleeper; all that follows from one has happened before the next wakes. */
  async advance(durationMs: number): Promise<void> {
    const untilMs = this.#elapsedMs + durationMs;
    await this.settle();
    for (let next = this.#sleepers[0]; next !== undefined && next.atMs <= untilMs; next = this.#sleepers[0]) {
      this.#pop();
      const { wake } = next;
      if (wake === undefined) continue;
      this.#elapsedMs = Math.max(this.#elapsedMs, next.atMs);
      wake();
      await this.settle();
    }
    this.#elapsedMs = untilMs;
  }

  /** Everything has happened that can without time. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 2; quiet = this.#busy > 0 ? 0 : quiet + 1) await new Promise((resolve) => setImmediate(resolve));
  }

  #push(sleeper: Sleeper): void {
    const heap = this.#sleepers;
    let index = heap.push(sleeper) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(sleeper, at(heap, parent))) break;
      heap[index] = at(heap, parent);
      index = parent;
    }
    heap[index] = sleeper;
  }

  #pop(): void {
    const heap = this.#sleepers;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(at(heap, child + 1), at(heap, child))) child += 1;
      if (!isBefore(at(heap, child), last)) break;
      heap[index] = at(heap, child);
      index = child;
    }
    heap[index] = last;
  }
}

function at(heap: readonly Sleeper[], index: number): Sleeper {
  const sleeper = heap[index];
  if (sleeper === undefined) throw new RangeError(`the heap has no place ${index}`);
  return sleeper;
}

function isBefore(left: Sleeper, right: Sleeper): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.number < right.number);
}
