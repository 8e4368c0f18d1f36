import type { Writable } from "node:stream";
import type { LineSink } from "./line-sink.ts";

const heldBytesMax = 1_048_576;

/** Lines on a stream, such as the standard output, which a container runtime collects. A reader that is slow costs lines. */
export class StandardOutput implements LineSink {
  readonly #stream: Writable;
  #written = 0;
  #lost = 0;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  get written(): number {
    return this.#written;
  }

  get lost(): number {
    return this.#lost;
  }

  append(line: string): void {
    if (this.#stream.writableLength > heldBytesMax) {
      this.#lost += 1;
      return;
    }
    this.#stream.write(`${line}\n`);
    this.#written += 1;
  }

  /** The stream is not ours to close. */
  async [Symbol.asyncDispose](): Promise<void> {}
}
