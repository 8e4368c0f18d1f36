import { promisify } from "node:util";
import { constants, crc32, zstdCompress, zstdDecompress } from "node:zlib";
import { type BlockGap, type ContextJournal, parseJournal, type WrittenSummary } from "@cilium-ts/flow";
import { FlowStoreError } from "./errors.ts";

/** What is known of a block without opening it. */
export interface BlockMeta {
  /** What the uuids of its ring begin with: one for each run of the agent. */
  readonly run: string;
  readonly firstSequence: number;
  /** Of the event that follows the last. */
  readonly endSequence: number;
  readonly count: number;
  readonly gaps: readonly BlockGap[];
  /** CLOCK_MONOTONIC ns. */
  readonly earliestNs: number;
  readonly latestNs: number;
  /** To be added for CLOCK_REALTIME; a 64-bit number as text. */
  readonly wallClockOffsetNs: string;
  /** The run ended in order, and this is all. */
  readonly isLast: boolean;
  readonly summary: WrittenSummary;
}

/** The fixed bytes before each block, with the sizes of its three parts. */
export interface BlockHead {
  readonly metaBytes: number;
  readonly journalBytes: number;
  readonly framesBytes: number;
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

export async function encodeBlock(meta: BlockMeta, journalText: string, frames: Uint8Array): Promise<Uint8Array> {
  const [metaPart, journal, events] = await Promise.all([
    compress(Buffer.from(JSON.stringify(meta)), compression),
    compress(Buffer.from(journalText), compression),
    compress(frames, compression),
  ]);
  const head = Buffer.alloc(headBytes);
  head.writeUInt32LE(magic, 0);
  head.writeUInt32LE(metaPart.length, 4);
  head.writeUInt32LE(journal.length, 8);
  head.writeUInt32LE(events.length, 12);
  head.writeUInt32LE(crc32(metaPart), 16);
  head.writeUInt32LE(crc32(events, crc32(journal)), 20);
  head.writeUInt32LE(crc32(head.subarray(0, 28)), 28);
  return Buffer.concat([head, metaPart, journal, events]);
}

/** Undefined when these are not the first bytes of a block. */
export function decodeHead(bytes: Uint8Array): BlockHead | undefined {
  if (bytes.length < headBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, headBytes);
  const at = (offset: number): number => view.getUint32(offset, true);
  if (at(0) !== magic || at(28) !== crc32(bytes.subarray(0, 28))) return undefined;
  return { metaBytes: at(4), journalBytes: at(8), framesBytes: at(12), metaCrc: at(16), dataCrc: at(20) };
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

export function blockBytesOf({ metaBytes, journalBytes, framesBytes }: BlockHead): number {
  return headBytes + metaBytes + journalBytes + framesBytes;
}

/** Throws a FlowStoreError when the bytes are not what was written. */
export async function decodeMeta(head: BlockHead, bytes: Uint8Array): Promise<BlockMeta> {
  if (bytes.length !== head.metaBytes || crc32(bytes) !== head.metaCrc) throw new FlowStoreError("its description is damaged");
  const meta = JSON.parse((await decompress(bytes, decompression)).toString()) as BlockMeta;
  if (!Number.isSafeInteger(meta.count) || typeof meta.run !== "string") throw new FlowStoreError("its description is of another kind");
  return meta;
}

/** Of the bytes after the description. Throws a FlowStoreError when they are not what was written. */
export async function decodeData(
  head: BlockHead,
  bytes: Uint8Array,
): Promise<{ readonly journal: ContextJournal; readonly frames: Uint8Array }> {
  if (bytes.length !== head.journalBytes + head.framesBytes || crc32(bytes) !== head.dataCrc) throw new FlowStoreError("it is damaged");
  const [journal, frames] = await Promise.all([
    decompress(bytes.subarray(0, head.journalBytes), decompression),
    decompress(bytes.subarray(head.journalBytes), decompression),
  ]);
  return { journal: parseJournal(journal.toString()), frames };
}
