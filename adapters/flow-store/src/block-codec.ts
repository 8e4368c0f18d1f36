import { promisify } from "node:util";
import { constants, crc32, zstdCompress, zstdDecompress } from "node:zlib";
import { FlowStoreError } from "./errors.ts";

/** The fixed bytes before each block, with the sizes of its three parts: a description that is read first, a text, and bytes. */
export interface BlockHead {
  readonly metaBytes: number;
  readonly textBytes: number;
  readonly rawBytes: number;
  readonly metaCrc: number;
  readonly dataCrc: number;
}

export const headBytes = 32;
const magic = 0x31465443; // "CTF1"
const partBytesMax = 67_108_864;
const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
/** Events are much alike: higher levels cost four times as much and gain a tenth. */
const compression = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
const decompression = { maxOutputLength: partBytesMax };

/** `meta` as JSON. */
export async function encodeBlock(meta: object, text: string, raw: Uint8Array): Promise<Uint8Array> {
  const [metaPart, textPart, rawPart] = await Promise.all([
    compress(Buffer.from(JSON.stringify(meta)), compression),
    compress(Buffer.from(text), compression),
    compress(raw, compression),
  ]);
  const head = Buffer.alloc(headBytes);
  head.writeUInt32LE(magic, 0);
  head.writeUInt32LE(metaPart.length, 4);
  head.writeUInt32LE(textPart.length, 8);
  head.writeUInt32LE(rawPart.length, 12);
  head.writeUInt32LE(crc32(metaPart), 16);
  head.writeUInt32LE(crc32(rawPart, crc32(textPart)), 20);
  head.writeUInt32LE(crc32(head.subarray(0, 28)), 28);
  return Buffer.concat([head, metaPart, textPart, rawPart]);
}

/** Undefined when these are not the first bytes of a block. */
export function decodeHead(bytes: Uint8Array): BlockHead | undefined {
  if (bytes.length < headBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, headBytes);
  const at = (offset: number): number => view.getUint32(offset, true);
  if (at(0) !== magic || at(28) !== crc32(bytes.subarray(0, 28))) return undefined;
  return { metaBytes: at(4), textBytes: at(8), rawBytes: at(12), metaCrc: at(16), dataCrc: at(20) };
}

/** Where the next head may be, from the given offset on; -1 for nowhere. */
export function findHead(bytes: Buffer, from: number): number {
  const wanted = Buffer.alloc(4);
  wanted.writeUInt32LE(magic);
  for (let at = bytes.indexOf(wanted, from); at >= 0; at = bytes.indexOf(wanted, at + 1)) {
    if (decodeHead(bytes.subarray(at, at + headBytes)) !== undefined) return at;
  }
  return -1;
}

export function blockBytesOf({ metaBytes, textBytes, rawBytes }: BlockHead): number {
  return headBytes + metaBytes + textBytes + rawBytes;
}

/** Throws a FlowStoreError when the bytes are not what was written. */
export async function decodeMeta(head: BlockHead, bytes: Uint8Array): Promise<unknown> {
  if (bytes.length !== head.metaBytes || crc32(bytes) !== head.metaCrc) throw new FlowStoreError("its description is damaged");
  return JSON.parse((await decompress(bytes, decompression)).toString());
}

/** What follows the description. Throws a FlowStoreError when the bytes are not what was written. */
export async function decodeData(head: BlockHead, bytes: Uint8Array): Promise<{ readonly text: string; readonly raw: Uint8Array }> {
  if (bytes.length !== head.textBytes + head.rawBytes || crc32(bytes) !== head.dataCrc) throw new FlowStoreError("it is damaged");
  const [text, raw] = await Promise.all([
    decompress(bytes.subarray(0, head.textBytes), decompression),
    decompress(bytes.subarray(head.textBytes), decompression),
  ]);
  return { text: text.toString(), raw };
}
