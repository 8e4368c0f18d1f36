const initialSizeBytes = 16_384;
const wireVarint = 0;
const wireBytes = 2;

/**
 * Writes protobuf from the last byte to the first: what is nested is finished before its length is needed, so nothing is measured
 * beforehand and nothing moved afterwards. Fields are therefore written in falling order to stand in rising order. Scalars that have
 * their default value are left out, as proto3 asks.
 */
export class BackwardWriter {
  #buffer = Buffer.allocUnsafeSlow(initialSizeBytes);
  #position = initialSizeBytes;

  /** Forgets what was written. */
  reset(): void {
    this.#position = this.#buffer.length;
  }

  /** What was written since the reset; valid until the next write. */
  get written(): Uint8Array {
    return this.#buffer.subarray(this.#position);
  }

  get size(): number {
    return this.#buffer.length - this.#position;
  }

  /** Ends a message that was begun when the size was `sizeBefore`. */
  message(field: number, sizeBefore: number): void {
    this.#varint(this.size - sizeBefore);
    this.#varint(field * 8 + wireBytes);
  }

  /** Unsigned, up to 2^53. Enums too. */
  uint(field: number, value: number): void {
    if (value === 0) return;
    this.#varint(value);
    this.#varint(field * 8 + wireVarint);
  }

  /** Those below 0 are ten bytes long, as 64 bits of them would be. */
  int32(field: number, value: number): void {
    if (value >= 0) this.uint(field, value);
    else this.uint64(field, BigInt(value));
  }

  uint64(field: number, value: bigint): void {
    if (value === 0n) return;
    this.#varint64(value);
    this.#varint(field * 8 + wireVarint);
  }

  bool(field: number, value: boolean): void {
    if (value) this.uint(field, 1);
  }

  string(field: number, value: string): void {
    if (value !== "") this.#stringElement(field, value);
  }

  /** Elements of a repeated field are written even when empty. */
  strings(field: number, values: readonly string[]): void {
    for (let index = values.length - 1; index >= 0; index -= 1) this.#stringElement(field, values[index] ?? "");
  }

  /** A message that is already encoded. */
  encoded(field: number, bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#position -= bytes.length;
    this.#buffer.set(bytes, this.#position);
    this.#varint(bytes.length);
    this.#varint(field * 8 + wireBytes);
  }

  #stringElement(field: number, value: string): void {
    const before = this.size;
    this.#utf8(value);
    this.message(field, before);
  }

  #utf8(value: string): void {
    this.#reserve(value.length);
    let position = this.#position;
    for (let index = value.length - 1; index >= 0; index -= 1) {
      const code = value.charCodeAt(index);
      if (code > 0x7f) {
        this.#wideUtf8(value);
        return;
      }
      position -= 1;
      this.#buffer[position] = code;
    }
    this.#position = position;
  }

  #wideUtf8(value: string): void {
    const sizeBytes = Buffer.byteLength(value);
    this.#reserve(sizeBytes);
    this.#position -= sizeBytes;
    this.#buffer.write(value, this.#position, "utf8");
  }

  #varint(value: number): void {
    this.#reserve(10);
    if (value < 0x80) {
      this.#position -= 1;
      this.#buffer[this.#position] = value;
      return;
    }
    let sizeBytes = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) sizeBytes += 1;
    this.#position -= sizeBytes;
    let rest = value;
    for (let index = 0; index < sizeBytes - 1; index += 1) {
      this.#buffer[this.#position + index] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#position + sizeBytes - 1] = rest;
  }

  #varint64(value: bigint): void {
    this.#reserve(10);
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, value);
    while (rest >= 0x80n) {
      bytes.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
    this.#position -= bytes.length;
    this.#buffer.set(bytes, this.#position);
  }

  #reserve(sizeBytes: number): void {
    if (this.#position >= sizeBytes) return;
    const written = this.written;
    const grown = Buffer.allocUnsafeSlow((this.#buffer.length + sizeBytes) * 2);
    grown.set(written, grown.length - written.length);
    this.#position = grown.length - written.length;
    this.#buffer = grown;
  }
}
