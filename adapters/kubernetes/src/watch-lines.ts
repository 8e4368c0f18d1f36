/** A line of a watch is one event. An object has at most 1.5 MiB in etcd by default; JSON may be some times that. */
export const watchLineSizeBytesMax = 16 * 1024 * 1024;

/** A line longer than the bound. */
export class LineTooLong extends Error {
  override readonly name = "LineTooLong";
}

/**
 * Cuts chunks into lines without their ends. Copies a byte at most once however a line is spread over chunks, and never holds more than
 * one line. What stands after the last line end when the chunks are over is `rest`.
 */
export class LineSplitter {
  readonly #sizeBytesMax: number;
  #pieces: Buffer[] = [];
  #sizeBytes = 0;

  constructor(sizeBytesMax: number) {
    this.#sizeBytesMax = sizeBytesMax;
  }

  /** Bytes of a line that has begun and not ended. */
  get restSizeBytes(): number {
    return this.#sizeBytes;
  }

  *lines(chunk: Buffer): Generator<string> {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      const piece = chunk.subarray(start, end);
      start = end + 1;
      this.#checkSize(piece.length);
      yield this.#pieces.length === 0 ? piece.toString("utf8") : this.#joined(piece);
    }
    const rest = chunk.subarray(start);
    if (rest.length === 0) return;
    this.#checkSize(rest.length);
    this.#pieces.push(rest);
    this.#sizeBytes += rest.length;
  }

  #joined(last: Buffer): string {
    const line = Buffer.concat([...this.#pieces, last]).toString("utf8");
    this.#pieces = [];
    this.#sizeBytes = 0;
    return line;
  }

  #checkSize(added: number): void {
    if (this.#sizeBytes + added > this.#sizeBytesMax) throw new LineTooLong(`a line of more than ${this.#sizeBytesMax} bytes`);
  }
}
