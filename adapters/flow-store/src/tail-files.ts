import { mkdir, open, readdir, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { type BlockGap, type BlockOrigin, type ContextJournal, journalText, parseJournal } from "@cilium-ts/flow";

/** What was added to the block that is being filled. */
export interface TailEntry {
  readonly origin: BlockOrigin;
  readonly wallClockOffsetNs: string;
  /** All of them, so far. */
  readonly gaps: readonly BlockGap[];
  /** New rows and values. */
  readonly journal: ContextJournal;
}

/** A block that was being filled when its agent died. */
export interface Tail {
  readonly path: string;
  readonly origin: BlockOrigin;
  readonly wallClockOffsetNs: bigint;
  readonly gaps: readonly BlockGap[];
  readonly journal: ContextJournal;
  readonly frames: Uint8Array;
}

const entryHeadBytes = 16;
const namePattern = /^open-([0-9]{8})\.v1$/;

/**
 * The events of the block that is being filled, so that they outlive the process: written once a second, and removed when the block
 * itself is on the disk.
 */
export class TailFiles {
  readonly #directory: string;
  #number = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** What is left of earlier runs, oldest first. An entry that was being written is left out. */
  async load(): Promise<Tail[]> {
    const names = (await readdir(this.#directory)).filter((name) => namePattern.test(name)).sort();
    const tails: Tail[] = [];
    for (const name of names) {
      this.#number = Math.max(this.#number, Number(namePattern.exec(name)?.[1]));
      const path = join(this.#directory, name);
      const tail = readEntries(path, await readFile(path));
      if (tail === undefined) await unlink(path);
      else tails.push(tail);
    }
    return tails;
  }

  nextPath(): string {
    this.#number = (this.#number + 1) % 100_000_000;
    return join(this.#directory, `open-${String(this.#number).padStart(8, "0")}.v1`);
  }

  async append(path: string, entry: TailEntry, frames: Uint8Array): Promise<void> {
    const text = Buffer.from(journalText(entry));
    const head = Buffer.alloc(entryHeadBytes);
    head.writeUInt32LE(text.length, 0);
    head.writeUInt32LE(frames.length, 4);
    head.writeUInt32LE(crc32(frames, crc32(text)), 8);
    head.writeUInt32LE(crc32(head.subarray(0, 12)), 12);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await using file = await open(path, "a", 0o600);
    await file.writev([head, text, frames]);
  }

  async remove(path: string): Promise<void> {
    await unlink(path).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "ENOENT") throw cause; // Nothing had been written yet.
    });
  }
}

function readEntries(path: string, bytes: Buffer): Tail | undefined {
  const frames: Uint8Array[] = [];
  let last: TailEntry | undefined;
  const values: unknown[] = [];
  const rows: ContextJournal["rows"][number][] = [];
  for (let at = 0; at + entryHeadBytes <= bytes.length; ) {
    const [textBytes, framesBytes, crc] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4), bytes.readUInt32LE(at + 8)];
    const start = at + entryHeadBytes;
    const end = start + textBytes + framesBytes;
    if (bytes.readUInt32LE(at + 12) !== crc32(bytes.subarray(at, at + 12)) || end > bytes.length) break;
    if (crc32(bytes.subarray(start, end)) !== crc) break;
    const entry = JSON.parse(bytes.toString("utf8", start, start + textBytes)) as TailEntry;
    values.push(...entry.journal.values);
    rows.push(...entry.journal.rows);
    frames.push(bytes.subarray(start + textBytes, end));
    last = entry;
    at = end;
  }
  if (last === undefined) return undefined;
  const { nodeName, clusterName, nodeLabels } = last.journal;
  const journal = parseJournal(JSON.stringify({ nodeName, clusterName, nodeLabels, values, rows }));
  const { origin, gaps } = last;
  return { path, origin, gaps, journal, wallClockOffsetNs: BigInt(last.wallClockOffsetNs), frames: Buffer.concat(frames) };
}
