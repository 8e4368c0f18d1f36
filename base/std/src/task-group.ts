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

  /** In a group that has been stopped, the task is not begun. */
  run(name: string, task: (signal: AbortSignal) => Promise<void>): void {
    if (this.signal.aborted) return;
    const running = this.#supervise(name, task).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when every task has ended; rejects with the first failure. */
  async join(): Promise<void> {
    await this.#ended();
    this.#throwFailure();
  }

  /** Rejects with a failure that nobody has joined: a task's death is never silent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended();
    this.#throwFailure();
  }

  async #ended(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  async #supervise(name: string, task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    try {
      await task(this.signal);
    } catch (cause) {
      if (this.signal.aborted) return; // What a stopped task throws is how it stops.
      this.#failure = new Error(`task "${name}" failed`, { cause });
      this.#stop.abort(this.#failure);
    }
  }
}
