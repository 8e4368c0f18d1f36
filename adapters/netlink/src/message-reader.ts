import { malformed } from "./errors.ts";
import { acknowledgeAttribute, attributeHeaderSizeBytes, headerSizeBytes, messageFlag, messageType } from "./wire.ts";

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** The messages in a buffer of whole ones. Throws a NetlinkError (EBADMSG) where they end early. */
export function decodeMessages(bytes: Uint8Array): Message[] {
  const view = viewOf(bytes);
  const messages: Message[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    if (offset + headerSizeBytes > bytes.length) throw malformed(`${bytes.length - offset} bytes are no message header`);
    const length = view.getUint32(offset, true);
    if (length < headerSizeBytes || offset + length > bytes.length) {
      throw malformed(`a message of ${length} bytes where ${bytes.length - offset} are left`);
    }
    messages.push({
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      sequence: view.getUint32(offset + 8, true),
      payload: bytes.subarray(offset + headerSizeBytes, offset + length),
    });
    offset += (length + 3) & ~3;
  }
  return messages;
}

/** Attributes by type; of two with one type the last counts. The two flag bits of the type are taken off. */
export function decodeAttributes(bytes: Uint8Array): Attributes {
  const view = viewOf(bytes);
  const values = new Map<number, Uint8Array>();
  for (let offset = 0; offset < bytes.length; ) {
    if (offset + attributeHeaderSizeBytes > bytes.length) throw malformed(`${bytes.length - offset} bytes are no attribute header`);
    const length = view.getUint16(offset, true);
    if (length < attributeHeaderSizeBytes || offset + length > bytes.length) {
      throw malformed(`an attribute of ${length} bytes where ${bytes.length - offset} are left`);
    }
    values.set(view.getUint16(offset + 2, true) & 0x3fff, bytes.subarray(offset + attributeHeaderSizeBytes, offset + length));
    offset += (length + 3) & ~3;
  }
  return new Attributes(values);
}

export class Attributes {
  readonly #values: ReadonlyMap<number, Uint8Array>;

  constructor(values: ReadonlyMap<number, Uint8Array>) {
    this.#values = values;
  }

  has(type: number): boolean {
    return this.#values.has(type);
  }

  /** A copy, so that the answer's buffer is not kept alive by one field. */
  bytes(type: number): Uint8Array | undefined {
    const value = this.#values.get(type);
    return value === undefined ? undefined : Uint8Array.from(value);
  }

  /** An address of the family's size. */
  address(type: number, sizeBytes: number): Uint8Array | undefined {
    const value = this.bytes(type);
    if (value !== undefined && value.length !== sizeBytes) throw malformed(`attribute ${type} has ${value.length} bytes, not ${sizeBytes}`);
    return value;
  }

  u32(type: number): number | undefined {
    const value = this.#values.get(type);
    if (value === undefined) return undefined;
    if (value.length !== 4) throw malformed(`attribute ${type} has ${value.length} bytes, not 4`);
    return viewOf(value).getUint32(0, true);
  }

  u8(type: number): number | undefined {
    const value = this.#values.get(type);
    if (value === undefined) return undefined;
    if (value.length !== 1) throw malformed(`attribute ${type} has ${value.length} bytes, not 1`);
    return value[0];
  }

  /** Up to the first zero byte. */
  text(type: number): string | undefined {
    const value = this.#values.get(type);
    if (value === undefined) return undefined;
    const end = value.indexOf(0);
    return Buffer.from(value.buffer, value.byteOffset, end < 0 ? value.length : end).toString("utf8");
  }

  nested(type: number): Attributes | undefined {
    const value = this.#values.get(type);
    return value === undefined ? undefined : decodeAttributes(value);
  }
}

/** NLMSG_ERROR (errno 0: it was carried out) or NLMSG_DONE. The former repeats the request, or its header, before attributes. */
export function decodeAcknowledgement(message: Message): { errno: number; detail: string } {
  const { payload } = message;
  if (payload.length < 4) throw malformed(`an acknowledgement of ${payload.length} bytes`);
  const view = viewOf(payload);
  const errno = Math.abs(view.getInt32(0, true));
  if ((message.flags & messageFlag.acknowledgeAttributes) === 0) return { errno, detail: "" };
  const repeatedSizeBytes = message.type === messageType.done ? 0 : repeatedRequestSizeBytes(message, errno);
  if (4 + repeatedSizeBytes > payload.length) throw malformed("an acknowledgement ends in the request that it repeats");
  const attributes = decodeAttributes(payload.subarray(4 + repeatedSizeBytes));
  return { errno, detail: attributes.text(acknowledgeAttribute.message) ?? "" };
}

function repeatedRequestSizeBytes(message: Message, errno: number): number {
  if (errno === 0 || (message.flags & messageFlag.capped) !== 0) return headerSizeBytes;
  if (message.payload.length < 4 + headerSizeBytes) throw malformed("an acknowledgement repeats less than a header");
  const sizeBytes = viewOf(message.payload).getUint32(4, true);
  if (sizeBytes < headerSizeBytes || sizeBytes > message.payload.length)
    throw malformed(`an acknowledgement repeats a request of ${sizeBytes} bytes`);
  return (sizeBytes + 3) & ~3;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The fixed structure in front of a message's attributes. */
export function fixedPart(payload: Uint8Array, sizeBytes: number): DataView {
  if (payload.length < sizeBytes) throw malformed(`a message of ${payload.length} bytes where at least ${sizeBytes} belong`);
  return new DataView(payload.buffer, payload.byteOffset, sizeBytes);
}
