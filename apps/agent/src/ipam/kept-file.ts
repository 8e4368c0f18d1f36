import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A file of the node's state that is there twice, so that one that the disk damaged costs nothing. */
export class KeptFile<Value> {
  readonly #directory: string;
  readonly #paths: readonly string[];
  readonly #parse: (text: string) => Value;

  /** `parse` throws for what it cannot read. */
  constructor(directory: string, name: string, parse: (text: string) => Value) {
    this.#directory = directory;
    this.#paths = [`${name}.json`, `${name}.copy.json`].map((file) => join(directory, file));
    this.#parse = parse;
  }

  /** Undefined: neither was ever written whole; the cluster still knows. */
  read(): Value | undefined {
    for (const path of this.#paths) {
      try {
        return this.#parse(readFileSync(path, "utf8"));
      } catch {
        // The other one may be whole.
      }
    }
    return undefined;
  }

  write(text: string): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    for (const path of this.#paths) {
      writeFileSync(`${path}.new`, text, { mode: 0o600 });
      renameSync(`${path}.new`, path);
    }
  }
}
