/** Protocol buffers as far as etcd's messages need them. Numbers are whole and below 2^53, which revisions and counts are. */
export type FieldValue = number | boolean | string | Uint8Array;

/** A message from its fields, in order; zeros, false and empty texts are left out, as proto3 does. */
export function encodeMessage(...fields: readonly (readonly [number: number, value: FieldValue | undefined])[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const [number, value] of fields) {
    if (value === undefined || value === 0 || value === false || value === "") continue;
    if (typeof value === "number" || typeof value === "boolean") parts.push(varint(number * 8), varint(Number(value)));
    else {
      const bytes = typeof value === "string" ? Buffer.from(value) : value;
      parts.push(varint(number * 8 + 2), varint(bytes.length), bytes);
    }
  }
  return Buffer.concat(parts);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

/** The bytes are no message. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/** The fields of a message, to be read by their number. */
export class MessageFields {
  readonly #numbers = new Map<number, number>();
  readonly #bytes = new Map<number, Buffer[]>();

  constructor(bytes: Buffer) {
    const reader = new Reader(bytes);
    while (!reader.isAtEnd) {
      const tag = reader.varint();
      const [number, wireType] = [Math.floor(tag / 8), tag % 8];
      if (wireType === 0) this.#numbers.set(number, reader.varint());
      else {
        const list = this.#bytes.get(number) ?? [];
        this.#bytes.set(number, list);
        list.push(reader.take(wireType === 2 ? reader.varint() : wireType === 1 ? 8 : wireType === 5 ? 4 : -1));
      }
    }
  }

  /** 0 when it is absent. */
  number(number: number): number {
    return this.#numbers.get(number) ?? 0;
  }

  bytes(number: number): Buffer | undefined {
    return this.#bytes.get(number)?.at(-1);
  }

  text(number: number): string {
    return this.bytes(number)?.toString() ?? "";
  }

  message(number: number): MessageFields {
    return new MessageFields(this.bytes(number) ?? Buffer.alloc(0));
  }

  messages(number: number): MessageFields[] {
    return (this.#bytes.get(number) ?? []).map((bytes) => new MessageFields(bytes));
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  varint(): number {
    let value = 0;
    // Numbers of 64 bits lose their low bits beyond 2^53; only identifiers are that large, and nobody reads them.
    for (let scale = 1, count = 0; count < 10; scale *= 128, count += 1) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw new WireError("a number ends too early");
      this.#at += 1;
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
    throw new WireError("a number has too many bytes");
  }

  take(size: number): Buffer {
    if (size < 0 || this.#at + size > this.#bytes.length) throw new WireError("a field has a wrong size");
    const bytes = this.#bytes.subarray(this.#at, this.#at + size);
    this.#at += size;
    return bytes;
  }
}
