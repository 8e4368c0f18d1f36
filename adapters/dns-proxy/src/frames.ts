/** Messages of a stream, each behind its length in two bytes (RFC 1035, 4.2.2). Never holds more than one message that is not whole. */
export class Frames {
  #rest: Uint8Array = new Uint8Array(0);

  push(chunk: Uint8Array): Uint8Array[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Uint8Array[] = [];
    let at = 0;
    while (at + 2 <= bytes.length) {
      const end = at + 2 + (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0));
      if (end > bytes.length) break;
      frames.push(bytes.subarray(at + 2, end));
      at = end;
    }
    this.#rest = Uint8Array.from(bytes.subarray(at));
    return frames;
  }
}

export function framed(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(message.length + 2);
  new DataView(frame.buffer).setUint16(0, message.length);
  frame.set(message, 2);
  return frame;
}
