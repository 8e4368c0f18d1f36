import { attributeHeaderSizeBytes, headerSizeBytes } from "./wire.ts";

/** Builds netlink messages one after another in one buffer, each aligned to 4 bytes. */
export class MessageWriter {
  #bytes = new Uint8Array(2048);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** One message: what `body` writes, behind a header. A body that throws leaves nothing behind. */
  message(header: { type: number; flags: number; sequence: number }, body: () => void): void {
    const start = this.#reserve(headerSizeBytes);
    this.#view.setUint16(start + 4, header.type, true);
    this.#view.setUint16(start + 6, header.flags, true);
    this.#view.setUint32(start + 8, header.sequence, true);
    try {
      body();
    } catch (cause) {
      this.#bytes.fill(0, start, this.#length);
      this.#length = start;
      throw cause;
    }
    this.#view.setUint32(start, this.#length - start, true);
  }

  u8(value: number): void {
    checkRange(value, 0xff);
    const start = this.#reserve(1);
    this.#view.setUint8(start, value);
  }

  u16(value: number): void {
    checkRange(value, 0xffff);
    const start = this.#reserve(2);
    this.#view.setUint16(start, value, true);
  }

  u32(value: number): void {
    checkRange(value, 0xffff_ffff);
    const start = this.#reserve(4);
    this.#view.setUint32(start, value, true);
  }

  attribute(type: number, value: Uint8Array): void {
    const start = this.#attributeHeader(type, value.length);
    this.#bytes.set(value, start);
  }

  attributeU32(type: number, value: number): void {
    checkRange(value, 0xffff_ffff);
    const start = this.#attributeHeader(type, 4);
    this.#view.setUint32(start, value, true);
  }

  attributeU8(type: number, value: number): void {
    checkRange(value, 0xff);
    const start = this.#attributeHeader(type, 1);
    this.#view.setUint8(start, value);
  }

  /** With the zero byte at its end that the kernel expects. The text has none inside: callers check. */
  attributeText(type: number, text: string): void {
    const bytes = Buffer.from(text, "utf8");
    const start = this.#attributeHeader(type, bytes.length + 1);
    this.#bytes.set(bytes, start);
  }

  /** An attribute made of what `body` writes. */
  nested(type: number, body: () => void): void {
    const start = this.#reserve(attributeHeaderSizeBytes);
    body();
    this.#view.setUint16(start, this.#length - start, true);
    this.#view.setUint16(start + 2, type, true);
  }

  /** The messages so far; the writer starts anew. */
  take(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.#length);
    this.#bytes.fill(0, 0, this.#length);
    this.#length = 0;
    return bytes;
  }

  #attributeHeader(type: number, sizeBytes: number): number {
    const start = this.#reserve(attributeHeaderSizeBytes + ((sizeBytes + 3) & ~3));
    this.#view.setUint16(start, attributeHeaderSizeBytes + sizeBytes, true);
    this.#view.setUint16(start + 2, type, true);
    return start + attributeHeaderSizeBytes;
  }

  #reserve(sizeBytes: number): number {
    const start = this.#length;
    const needed = start + sizeBytes;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = needed;
    return start;
  }
}

/** A number that does not fit would arrive as another one. */
function checkRange(value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) throw new RangeError(`a netlink field from 0 to ${max} cannot hold ${value}`);
}
