import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { Zip, ZipDeflate } from "fflate";

export interface ArchiveLimits {
  /** Of one file, before compression. The rest of it is left out. */
  readonly fileSizeBytesMax: number;
  /** Of all files together. What comes after is left out. */
  readonly totalSizeBytesMax: number;
}

/** A ZIP file that is written as it grows: only the file that is being added is in memory. What was cut or left out is told in `problems`. */
export class Archive {
  readonly problems: string[] = [];
  readonly #limits: ArchiveLimits;
  readonly #output: WriteStream;
  readonly #zip: Zip;
  readonly #folder: string;
  readonly #path: string;
  #sizeBytes = 0;
  #failure: Error | undefined;

  /** `folder` is what everything in it is below. */
  constructor(path: string, folder: string, limits: ArchiveLimits) {
    this.#limits = limits;
    this.#folder = folder;
    this.#path = path;
    this.#output = createWriteStream(path);
    this.#output.on("error", (failure) => {
      this.#failure = failure;
    });
    this.#zip = new Zip((error, chunk) => {
      if (error !== null) this.#failure = error;
      else this.#output.write(chunk);
    });
  }

  /** Rejects when the archive cannot be written. */
  async add(name: string, text: string): Promise<void> {
    const { fileSizeBytesMax, totalSizeBytesMax } = this.#limits;
    let bytes = Buffer.from(text);
    if (bytes.length > fileSizeBytesMax) {
      this.problems.push(`${name}: only the first ${fileSizeBytesMax} of its ${bytes.length} bytes are here`);
      bytes = bytes.subarray(0, fileSizeBytesMax);
    }
    if (this.#sizeBytes + bytes.length > totalSizeBytesMax) {
      this.problems.push(`${name}: left out, because the archive would hold more than ${totalSizeBytesMax} bytes`);
      return;
    }
    await this.#write(name, bytes);
  }

  /** With what went wrong as its last file. */
  async close(): Promise<void> {
    await this.#write("problems.txt", Buffer.from(this.problems.map((problem) => `${problem}\n`).join("")));
    this.#zip.end();
    this.#output.end();
    if (this.#failure === undefined) await once(this.#output, "close");
    this.#check();
  }

  /** Half an archive would pass for a whole one. */
  async discard(): Promise<void> {
    this.#zip.terminate();
    this.#output.destroy();
    await rm(this.#path, { force: true });
  }

  async #write(name: string, bytes: Uint8Array): Promise<void> {
    this.#check();
    this.#sizeBytes += bytes.length;
    const file = new ZipDeflate(`${this.#folder}/${name}`, { level: 6 });
    this.#zip.add(file);
    file.push(bytes, true);
    if (this.#output.writableNeedDrain) await Promise.race([once(this.#output, "drain"), once(this.#output, "close")]);
    this.#check();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
