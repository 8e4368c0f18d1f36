import { MalformedObject } from "./malformed-object.ts";

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Reads little-endian numbers in order; going past the end is a MalformedObject that names the part being read. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #part: string;
  #offset = 0;

  constructor(bytes: Uint8Array, part: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#part = part;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#bytes.byteLength - this.#offset;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  skip(count: number): void {
    this.#take(count);
  }

  /** The bytes from the offset on, as another part with its own name. Shares memory. */
  slice(offset: number, sizeBytes: number, part: string): Uint8Array {
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(sizeBytes) || offset + sizeBytes > this.#bytes.byteLength) {
      throw new MalformedObject(
        `${part} (${sizeBytes} bytes at ${offset}) lies outside of ${this.#part} of ${this.#bytes.byteLength} bytes`,
      );
    }
    return this.#bytes.subarray(offset, offset + sizeBytes);
  }

  #take(count: number): number {
    if (count > this.remaining) {
      throw new MalformedObject(`${this.#part} ends at byte ${this.#bytes.byteLength}, in the middle of what starts at ${this.#offset}`);
    }
    const offset = this.#offset;
    this.#offset += count;
    return offset;
  }
}

/** The text from the offset to the next zero byte. */
export function decodeCString(table: Uint8Array, offset: number, part: string): string {
  const end = table.indexOf(0, offset);
  if (offset >= table.byteLength || end < 0) throw new MalformedObject(`${part} has no text that ends at offset ${offset}`);
  try {
    return decoder.decode(table.subarray(offset, end));
  } catch (cause) {
    throw new MalformedObject(`${part} has a text at offset ${offset} that is not UTF-8`, { cause });
  }
}
