import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type EndpointRow, encodeEndpointState, endpointFileSizeBytesMax, parseEndpointState } from "@cilium-ts/endpoint";

const fileName = "endpoint.json";

/** Endpoints on disk, one directory each, for the agent that comes after a crash. */
export class EndpointFiles {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Whole or not at all, whenever the process dies. A reboot needs no more: it takes the pods away too. */
  write(row: EndpointRow): void {
    const directory = join(this.#directory, String(row.id));
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, fileName);
    writeFileSync(`${path}.new`, encodeEndpointState(row), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  remove(id: number): void {
    rmSync(join(this.#directory, String(id)), { recursive: true, force: true });
  }

  /**
   * Every row that can be read; of the others, why not. What cannot be read stays where it is, for somebody to look at; where writing
   * had only begun there is nothing to look at.
   */
  read(): { rows: EndpointRow[]; problems: string[] } {
    const rows: EndpointRow[] = [];
    const problems: string[] = [];
    for (const name of readdirSync(this.#directory)) {
      if (!/^[0-9]+$/.test(name)) continue;
      const path = join(this.#directory, name, fileName);
      if (!existsSync(path)) {
        rmSync(join(this.#directory, name), { recursive: true, force: true });
        continue;
      }
      const parsed = parseFile(path);
      if (typeof parsed === "string") problems.push(`${path}: ${parsed}`);
      else if (String(parsed.id) !== name) problems.push(`${path}: it is of endpoint ${parsed.id}`);
      else rows.push(parsed);
    }
    return { rows: rows.sort((left, right) => left.id - right.id), problems };
  }
}

function parseFile(path: string): EndpointRow | string {
  try {
    if (statSync(path).size > endpointFileSizeBytesMax) return `larger than ${endpointFileSizeBytesMax} bytes`;
    const parsed = parseEndpointState(readFileSync(path, "utf8"));
    if (parsed.kind === "parsed") return parsed.row;
    return parsed.problems.map((problem) => `${problem.path} ${problem.message}`.trim()).join("; ");
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}
