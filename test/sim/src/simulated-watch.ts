import type { KubernetesError, WatchEvent } from "@cilium-ts/kubernetes";
import type { ObjectChange } from "@cilium-ts/kubernetes-server/testing";
import type { SimulatedTime } from "./simulated-time.ts";

export interface SimulatedWatchOptions {
  readonly time: SimulatedTime;
  /** Of the next event. */
  readonly delayMs: () => number;
  readonly loses: () => boolean;
  readonly signal: AbortSignal;
}

interface Waiting {
  readonly atMs: number;
  readonly event: WatchEvent;
}

/** One stream of changes: in order, late, and at any moment cut off with what was still on its way. */
export class SimulatedWatch {
  readonly #options: SimulatedWatchOptions;
  readonly #end = new AbortController();
  readonly #waiting: Waiting[] = [];
  #filled = Promise.withResolvers<void>();
  #lastMs = 0;

  constructor(options: SimulatedWatchOptions) {
    this.#options = options;
  }

  /** Aborted when it is over. */
  get ended(): AbortSignal {
    return this.#end.signal;
  }

  tell({ type, object }: ObjectChange): void {
    if (this.#options.loses()) return;
    this.#push({ type, object: object as never });
  }

  bookmark(revision: number): void {
    this.#push({ type: "BOOKMARK", resourceVersion: String(revision) });
  }

  /** Undefined: the server ends it in good order. */
  cut(failure: KubernetesError | undefined): void {
    this.#end.abort(failure ?? "ended");
    this.#filled.resolve();
  }

  async *events(): AsyncGenerator<WatchEvent, void> {
    const { time, signal } = this.#options;
    const over = AbortSignal.any([signal, this.#end.signal]);
    const wake = (): void => this.#filled.resolve();
    signal.addEventListener("abort", wake, { once: true });
    try {
      while (!over.aborted) {
        const next = this.#waiting.shift();
        if (next === undefined) {
          this.#filled = Promise.withResolvers();
          await this.#filled.promise;
          continue;
        }
        const remainingMs = next.atMs - time.elapsedMs;
        if (remainingMs > 0) await time.sleep(remainingMs, over).catch(() => {}); // Rejects only on abort.
        if (!over.aborted) yield next.event;
      }
    } finally {
      signal.removeEventListener("abort", wake);
    }
    signal.throwIfAborted();
    if (this.#end.signal.reason !== "ended") throw this.#end.signal.reason;
  }

  #push(event: WatchEvent): void {
    const { time, delayMs } = this.#options;
    this.#lastMs = Math.max(this.#lastMs, time.elapsedMs + delayMs());
    this.#waiting.push({ atMs: this.#lastMs, event });
    this.#filled.resolve();
  }
}
