import { type FileHandle, mkdir, open, readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { errorMessage } from "@cilium-ts/std";
import { type BlockHead, blockBytesOf, decodeData, decodeHead, decodeMeta, findHead, headBytes } from "./block-codec.ts";
import { FlowStoreError } from "./errors.ts";

/** Where a block is. */
export interface BlockPlace {
  readonly segment: Segment;
  readonly offset: number;
  readonly head: BlockHead;
}

/** A file of blocks, appended to until it is large enough. */
export interface Segment {
  readonly path: string;
  readonly number: number;
  sizeBytes: number;
}

export interface SegmentFilesOptions {
  readonly directory: string;
  /** What its files are called by. */
  readonly prefix: string;
  readonly segmentBytesMax: number;
  /** What cannot be read; the rest is. */
  readonly onDamage: (message: string) => void;
}

/** Of a damaged segment this much is looked through for what is whole. */
const searchBytesMax = 67_108_864;

/** The files of one kind of history, oldest first. Other files in the folder are left alone. */
export class SegmentFiles {
  readonly #options: SegmentFilesOptions;
  readonly #namePattern: RegExp;
  readonly #segments: Segment[] = [];
  /** Takes the next block. */
  #current: { readonly segment: Segment; readonly file: FileHandle } | undefined;

  constructor(options: SegmentFilesOptions) {
    this.#options = options;
    this.#namePattern = new RegExp(`^${options.prefix}-([0-9]{8})\\.v1$`);
  }

  get segments(): readonly Segment[] {
    return this.#segments;
  }

  get sizeBytes(): number {
    return this.#segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /** Finds what earlier runs wrote: calls `found` for every whole block, oldest first. */
  async load(found: (place: BlockPlace, meta: unknown) => void): Promise<void> {
    const { directory } = this.#options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const names = (await readdir(directory)).filter((name) => this.#namePattern.test(name)).sort();
    for (const name of names) {
      const path = join(directory, name);
      const segment: Segment = { path, number: Number(this.#namePattern.exec(name)?.[1]), sizeBytes: (await stat(path)).size };
      this.#segments.push(segment);
      await this.#scan(segment, found).catch((cause) => this.#options.onDamage(`${path} cannot be read: ${errorMessage(cause)}`));
    }
  }

  /** Returns when the block is on the disk, not only in the kernel's memory. */
  async append(block: Uint8Array): Promise<BlockPlace> {
    const head = decodeHead(block);
    if (head === undefined) throw new RangeError("a block begins with its head");
    const { segment, file } = await this.#writable(block.length);
    const offset = segment.sizeBytes;
    try {
      await writeAll(file, block, offset);
      await file.datasync();
    } catch (cause) {
      await file.truncate(offset).catch(() => {}); // Or else the next run passes over it.
      await this.#closeCurrent();
      throw cause;
    }
    segment.sizeBytes = offset + block.length;
    return { segment, offset, head };
  }

  async read({ segment, offset, head }: BlockPlace): Promise<Awaited<ReturnType<typeof decodeData>>> {
    await using file = await open(segment.path, "r");
    return await decodeData(head, await readExactly(file, offset + headBytes + head.metaBytes, head.textBytes + head.rawBytes));
  }

  /** Removes the oldest file. */
  async removeOldest(): Promise<Segment | undefined> {
    const oldest = this.#segments[0];
    if (oldest === undefined) return undefined;
    if (this.#current?.segment === oldest) await this.#closeCurrent();
    await unlink(oldest.path);
    this.#segments.shift();
    return oldest;
  }

  async close(): Promise<void> {
    await this.#closeCurrent();
  }

  async #writable(blockBytes: number): Promise<{ readonly segment: Segment; readonly file: FileHandle }> {
    const { directory, prefix, segmentBytesMax } = this.#options;
    if (this.#current !== undefined && this.#current.segment.sizeBytes + blockBytes <= segmentBytesMax) return this.#current;
    await this.#closeCurrent();
    const last = this.#segments.at(-1);
    if (last !== undefined && last.sizeBytes + blockBytes <= segmentBytesMax) {
      const file = await open(last.path, "r+", 0o600);
      await file.truncate(last.sizeBytes); // An end that was torn goes.
      this.#current = { segment: last, file };
      return this.#current;
    }
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const number = (last?.number ?? 0) + 1;
    const segment: Segment = { path: join(directory, `${prefix}-${String(number).padStart(8, "0")}.v1`), number, sizeBytes: 0 };
    this.#current = { segment, file: await open(segment.path, "w+", 0o600) };
    this.#segments.push(segment);
    return this.#current;
  }

  async #closeCurrent(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    await current?.file.close().catch(() => {}); // What was written has been synced.
  }

  async #scan(segment: Segment, found: (place: BlockPlace, meta: unknown) => void): Promise<void> {
    await using file = await open(segment.path, "r");
    let offset = 0;
    let whole = 0;
    while (offset + headBytes <= segment.sizeBytes) {
      const head = decodeHead(await readExactly(file, offset, headBytes));
      const end = head === undefined ? Number.POSITIVE_INFINITY : offset + blockBytesOf(head);
      if (head === undefined || end > segment.sizeBytes) {
        const next = await this.#searchOn(file, segment, offset);
        if (next === undefined) break;
        offset = next;
        continue;
      }
      try {
        const meta = await decodeMeta(head, await readExactly(file, offset + headBytes, head.metaBytes));
        found({ segment, offset, head }, meta);
      } catch (cause) {
        this.#options.onDamage(`the block at ${offset} of ${segment.path} is left out: ${errorMessage(cause)}`);
      }
      offset = end;
      whole = end;
    }
    // A torn end is written over by the next block.
    segment.sizeBytes = whole;
  }

  /** Behind bytes that are no block: where the next one is. A torn end is what a sudden death leaves, and no damage. */
  async #searchOn(file: FileHandle, segment: Segment, offset: number): Promise<number | undefined> {
    const rest = await readExactly(file, offset, Math.min(segment.sizeBytes - offset, searchBytesMax));
    const next = findHead(rest, 1);
    if (next < 0) {
      if (decodeHead(rest) === undefined) this.#options.onDamage(`the last ${rest.length} bytes of ${segment.path} are no history`);
      return undefined;
    }
    this.#options.onDamage(`${next} bytes of ${segment.path} at ${offset} are damaged, and left out`);
    return offset + next;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, offset + written);
    written += bytesWritten;
  }
}

async function readExactly(file: FileHandle, offset: number, sizeBytes: number): Promise<Buffer> {
  if (sizeBytes > searchBytesMax) throw new FlowStoreError(`it claims to be of ${sizeBytes} bytes`);
  const bytes = Buffer.allocUnsafe(sizeBytes);
  for (let read = 0; read < sizeBytes; ) {
    const { bytesRead } = await file.read(bytes, read, sizeBytes - read, offset + read);
    if (bytesRead === 0) throw new FlowStoreError("it is cut short");
    read += bytesRead;
  }
  return bytes;
}
