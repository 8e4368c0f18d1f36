import { createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { LineSink } from "./line-sink.ts";

export interface RotatingFileOptions {
  readonly path: string;
  /** When the file would grow beyond it, another is begun. */
  readonly sizeBytesMax: number;
  /** When the file is older, another is begun; 0: however old. */
  readonly ageMsMax: number;
  /** Former files that are kept. */
  readonly backupCountMax: number;
  readonly compress: boolean;
  readonly clock: Clock;
  /** Said once, until it is over. */
  readonly onProblem: (message: string) => void;
}

const heldBytesMax = 1_048_576;
const retryMs = 1_000;

/** A file of lines. Former ones have the time of their end in their name: `events-2026-01-01T00-00-00.000.log.gz`. */
export class RotatingFile implements LineSink {
  readonly #options: RotatingFileOptions;
  #held: string[] = [];
  #heldBytes = 0;
  #handle: FileHandle | undefined;
  #sizeBytes = 0;
  #bornMs = 0;
  #written = 0;
  #lost = 0;
  #problem: string | undefined;
  #notBeforeMs = 0;
  #writing: Promise<void> | undefined;
  #closed = false;

  constructor(options: RotatingFileOptions) {
    this.#options = options;
  }

  get written(): number {
    return this.#written;
  }

  get lost(): number {
    return this.#lost;
  }

  append(line: string): void {
    if (this.#closed || this.#heldBytes + line.length > heldBytesMax) {
      this.#lost += 1;
      return;
    }
    this.#held.push(line);
    this.#heldBytes += line.length;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Writes what is held, and closes the file. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    while (this.#writing !== undefined) await this.#writing;
    await this.#handle?.close();
    this.#handle = undefined;
  }

  async #write(): Promise<void> {
    await Promise.resolve(); // Lines of one turn are written together.
    while (this.#held.length > 0) {
      const lines = this.#held;
      this.#held = [];
      this.#heldBytes = 0;
      if (this.#options.clock.nowMs() < this.#notBeforeMs) {
        this.#lost += lines.length;
        continue;
      }
      try {
        await this.#writeLines(Buffer.from(`${lines.join("\n")}\n`));
        this.#written += lines.length;
        this.#problem = undefined;
      } catch (cause) {
        this.#lost += lines.length;
        await this.#failed(cause);
      }
    }
  }

  async #writeLines(bytes: Buffer): Promise<void> {
    const { sizeBytesMax, ageMsMax, clock } = this.#options;
    const handle = await this.#open();
    const isOld = ageMsMax > 0 && clock.nowMs() - this.#bornMs > ageMsMax;
    if (this.#sizeBytes > 0 && (isOld || this.#sizeBytes + bytes.length > sizeBytesMax)) await this.#rotate(handle);
    const { bytesWritten } = await (await this.#open()).write(bytes);
    this.#sizeBytes += bytesWritten;
    if (bytesWritten < bytes.length) throw new Error("the disk took only a part of it");
  }

  async #open(): Promise<FileHandle> {
    if (this.#handle !== undefined) return this.#handle;
    await mkdir(dirname(this.#options.path), { recursive: true });
    const handle = await open(this.#options.path, "a", 0o600);
    const { size, birthtimeMs } = await handle.stat();
    this.#sizeBytes = size;
    this.#bornMs = size === 0 ? this.#options.clock.nowMs() : birthtimeMs;
    this.#handle = handle;
    return handle;
  }

  async #rotate(handle: FileHandle): Promise<void> {
    const { path, compress, clock, backupCountMax } = this.#options;
    this.#handle = undefined;
    await handle.close();
    const stamp = new Date(clock.nowMs()).toISOString().replaceAll(":", "-").replace("Z", "");
    const backup = join(dirname(path), `${stem(path)}-${stamp}${extname(path)}`);
    await rename(path, backup);
    if (compress) {
      await pipeline(createReadStream(backup), createGzip(), createWriteStream(`${backup}.gz`, { mode: 0o600 }));
      await rm(backup);
    }
    const backups = await this.#backups();
    for (const name of backups.slice(0, Math.max(0, backups.length - backupCountMax))) await rm(join(dirname(path), name));
  }

  /** The oldest first. */
  async #backups(): Promise<string[]> {
    const { path } = this.#options;
    const [start, end] = [`${stem(path)}-`, extname(path)];
    const names = await readdir(dirname(path));
    return names
      .filter((name) => name.startsWith(start) && (name.endsWith(end) || name.endsWith(`${end}.gz`)) && /\d{4}-\d\d-\d\dT/.test(name))
      .sort();
  }

  async #failed(cause: unknown): Promise<void> {
    const { path, clock, onProblem } = this.#options;
    this.#notBeforeMs = clock.nowMs() + retryMs;
    await this.#handle?.close().catch(() => {});
    this.#handle = undefined;
    const problem = errorMessage(cause);
    if (problem !== this.#problem) onProblem(`flows cannot be written to ${path}: ${problem}; they are lost until it can be, and counted`);
    this.#problem = problem;
  }
}

function stem(path: string): string {
  return basename(path, extname(path));
}
