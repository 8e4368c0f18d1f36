/** Bytes of a name on the wire, its lengths and the root included. */
const nameBytesMax = 255;
const pointerBits = 0xc0;
/** Pointers in a row; a name has at most 127 labels. */
const hopCountMax = 127;

/** What breaks a message: it says something that no message can say. */
export class MalformedMessage extends Error {}

interface ReadName {
  /** Lower case, without the root's dot; empty for the root. A dot inside a label, and what is not printable, is escaped. */
  readonly text: string;
  readonly wireBytes: number;
  /** Behind the name, where it was read. */
  readonly end: number;
}

/**
 * Reads names of one message. What pointers lead to is read once, so that a message made of pointers costs no more than its length.
 * Pointers lead backwards only, so they end.
 */
export class NameReader {
  readonly #bytes: Uint8Array;
  readonly #known = new Map<number, ReadName>();

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  read(start: number, hops = 0): ReadName {
    const known = this.#known.get(start);
    if (known !== undefined) return known;
    const labels: string[] = [];
    let at = start;
    let wireBytes = 1;
    for (;;) {
      const length = this.#byte(at);
      if (length === 0) {
        return this.#keep(start, { text: labels.join("."), wireBytes, end: at + 1 });
      }
      if ((length & pointerBits) === pointerBits) {
        const target = ((length & 0x3f) << 8) | this.#byte(at + 1);
        if (target >= start || hops >= hopCountMax) throw new MalformedMessage("a name points forward, or too often");
        const rest = this.read(target, hops + 1);
        if (wireBytes + rest.wireBytes - 1 > nameBytesMax) throw new MalformedMessage("a name is too long");
        if (rest.text !== "") labels.push(rest.text);
        return this.#keep(start, { text: labels.join("."), wireBytes: wireBytes + rest.wireBytes - 1, end: at + 2 });
      }
      if (length > 63) throw new MalformedMessage("a label has an unknown kind");
      wireBytes += length + 1;
      if (wireBytes > nameBytesMax) throw new MalformedMessage("a name is too long");
      if (at + 1 + length > this.#bytes.length) throw new MalformedMessage("a name is cut off");
      labels.push(labelText(this.#bytes, at + 1, length));
      at += length + 1;
    }
  }

  #byte(at: number): number {
    const byte = this.#bytes[at];
    if (byte === undefined) throw new MalformedMessage("a name is cut off");
    return byte;
  }

  #keep(start: number, name: ReadName): ReadName {
    this.#known.set(start, name);
    return name;
  }
}

const backslash = 0x5c;
const dot = 0x2e;

function labelText(bytes: Uint8Array, start: number, length: number): string {
  let text = "";
  for (let at = start; at < start + length; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte >= 0x41 && byte <= 0x5a) text += String.fromCharCode(byte + 0x20);
    else if (byte === dot || byte === backslash) text += `\\${String.fromCharCode(byte)}`;
    else if (byte > 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\${String(byte).padStart(3, "0")}`;
  }
  return text;
}
