import { GrpcCode, GrpcError } from "../grpc/errors.ts";

/** What can be told of a response without decoding it. */
export interface ResponseFields {
  /** Number of the field of the oneof: 1 is what was asked for, 2 a node status, 3 lost events; 0 for none. */
  readonly kind: number;
  /** Milliseconds since the epoch; NaN when the message has no time. */
  readonly timeMs: number;
}

const timeField = 1001;

/** Reads the outermost layer of a response of the Observer service. Throws on bytes that are no protobuf. */
export function readResponseFields(bytes: Uint8Array, start: number): ResponseFields {
  const reader = new FieldReader(bytes, start, bytes.length);
  let kind = 0;
  let timeMs = Number.NaN;
  while (reader.next()) {
    if (reader.wireType !== 2) continue;
    if (reader.field <= 3) kind = reader.field;
    else if (reader.field === timeField) timeMs = readTimestamp(bytes, reader.valueStart, reader.valueEnd);
  }
  return { kind, timeMs };
}

function readTimestamp(bytes: Uint8Array, start: number, end: number): number {
  const reader = new FieldReader(bytes, start, end);
  let [seconds, nanos] = [0, 0];
  while (reader.next()) {
    if (reader.field === 1) seconds = reader.value;
    else if (reader.field === 2) nanos = reader.value;
  }
  return seconds * 1_000 + nanos / 1e6;
}

/** Steps over the fields of one message. */
class FieldReader {
  field = 0;
  wireType = 0;
  value = 0;
  valueStart = 0;
  valueEnd = 0;
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  next(): boolean {
    if (this.#at >= this.#end) return false;
    const tag = this.#varint();
    this.field = Math.floor(tag / 8);
    this.wireType = tag % 8;
    if (this.field === 0) throw garbage();
    if (this.wireType === 0) this.value = this.#varint();
    else if (this.wireType === 2) this.#skip(this.#varint());
    else if (this.wireType === 1) this.#skip(8);
    else if (this.wireType === 5) this.#skip(4);
    else throw garbage();
    return true;
  }

  #skip(sizeBytes: number): void {
    this.valueStart = this.#at;
    this.valueEnd = this.#at + sizeBytes;
    if (this.valueEnd > this.#end) throw garbage();
    this.#at = this.valueEnd;
  }

  #varint(): number {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < 10; count += 1) {
      if (this.#at >= this.#end) throw garbage();
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
    throw garbage();
  }
}

function garbage(): GrpcError {
  return new GrpcError(GrpcCode.internal, "the server sends garbage");
}
