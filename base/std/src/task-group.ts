/**
 * Tasks that live and die together. The first failure aborts the others; closing the group aborts
 * all of them and waits, so no task outlives the resources opened before the group.
 */
export class TaskGroup implements AsyncDisposable {
  readonly signal: AbortSignal;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #failure: Error | undefined;

  constructor(parent: AbortSignal) {
    this.signal = AbortSignal.any([parent, this.#stop.signal]);
  }

  run(name: string, task: (signal: AbortSignal) => Promise<void>): void {
    const running = this.#supervise(name, task).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when every task has ended; rejects with the first failure. */
  async join(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  async #supervise(name: string, task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    try {
      await task(this.signal);
    } catch (cause) {
      if (this.signal.aborted) return;
      this.#failure = new Error(`task "${name}" failed`, { cause });
      this.#stop.abort(this.#failure);
    }
  }
}
