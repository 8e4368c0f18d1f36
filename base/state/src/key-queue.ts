/**
 * The keys that need attention. It remembers which keys, never how often or why, so it is bounded
 * by the number of keys whatever the event rate, and a slow consumer sees one batch, not a backlog.
 * It has one consumer.
 */
export class KeyQueue<K> {
  #keys = new Set<K>();
  #filled: PromiseWithResolvers<void> = Promise.withResolvers<void>();

  /** Keys marked and not yet handed out. */
  get size(): number {
    return this.#keys.size;
  }

  mark(key: K): void {
    this.#keys.add(key);
    this.#filled.resolve();
  }

  /** Each batch holds the keys marked since the one before, in the order in which they were first marked. Ends when aborted. */
  async *batches(signal: AbortSignal): AsyncGenerator<ReadonlySet<K>, void> {
    const wake = (): void => this.#filled.resolve();
    signal.addEventListener("abort", wake, { once: true });
    try {
      while (!signal.aborted) {
        await this.#filled.promise;
        if (signal.aborted) return;
        const keys = this.#keys;
        this.#keys = new Set();
        this.#filled = Promise.withResolvers<void>();
        yield keys;
      }
    } finally {
      signal.removeEventListener("abort", wake);
    }
  }
}
