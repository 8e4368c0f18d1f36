import type { Writable } from "node:stream";

const flushSize = 16_384;

/** Lines gathered into few writes, and a reader that is slower than we are waited for. */
export class Output {
  readonly #stream: Writable;
  #pending = "";
  #scheduled = false;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  write(text: string): void {
    this.#pending += text;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** Resolves when there is room for more. */
  async ready(): Promise<void> {
    if (this.#pending.length < flushSize) return;
    await this.end();
  }

  /** Resolves when everything was handed on. */
  async end(): Promise<void> {
    if (this.#flush() || this.#stream.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => resolve();
    this.#stream.once("drain", done).once("close", done).once("error", done);
    await promise;
    this.#stream.off("drain", done).off("close", done).off("error", done);
  }

  #flush(): boolean {
    if (this.#pending === "") return !this.#stream.writableNeedDrain;
    const text = this.#pending;
    this.#pending = "";
    return this.#stream.write(text);
  }
}
