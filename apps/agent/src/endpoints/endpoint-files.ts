import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type EndpointRow, encodeEndpointState, endpointFileSizeBytesMax, parseEndpointState } from "@cilium-ts/endpoint";
import { errorMessage } from "@cilium-ts/std";

const fileName = "endpoint.json";
const copyName = "endpoint.copy.json";

/** What an agent finds of those before it. */
export interface EndpointFilesFound {
  readonly rows: readonly EndpointRow[];
  /** Of endpoints that are not among the rows, why not. */
  readonly problems: readonly string[];
  /** Endpoints among the rows of which only one of the two files can be read, and what is wrong with the other. By number. */
  readonly damaged: ReadonlyMap<number, string>;
}

/**
 * Endpoints on disk, one directory each, for the agent that comes after a crash. Each is there twice: a file that was damaged on the disk
 * must not cost a running pod its endpoint.
 */
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
    const text = encodeEndpointState(row);
    for (const name of [fileName, copyName]) {
      const path = join(directory, name);
      writeFileSync(`${path}.new`, text, { mode: 0o600 });
      renameSync(`${path}.new`, path);
    }
  }

  remove(id: number): void {
    rmSync(join(this.#directory, String(id)), { recursive: true, force: true });
  }

  /**
   * Every row that can be read; of the others, why not. What cannot be read stays where it is, for somebody to look at; where writing
   * had only begun there is nothing to look at.
   */
  read(): EndpointFilesFound {
    const rows: EndpointRow[] = [];
    const problems: string[] = [];
    const damaged = new Map<number, string>();
    for (const name of readdirSync(this.#directory)) {
      if (!/^[0-9]+$/.test(name)) continue;
      const directory = join(this.#directory, name);
      const paths = [join(directory, fileName), join(directory, copyName)];
      if (!paths.some((path) => existsSync(path))) {
        rmSync(directory, { recursive: true, force: true });
        continue;
      }
      const [file = "", copy = ""] = paths.map((path) => parseFile(path, Number(name)));
      const row = typeof file === "string" ? copy : file;
      const problem = [file, copy].filter((parsed) => typeof parsed === "string").join("; ");
      if (typeof row === "string") problems.push(problem);
      else rows.push(row);
      if (typeof row !== "string" && problem !== "") damaged.set(row.id, problem);
    }
    return { rows: rows.sort((left, right) => left.id - right.id), problems, damaged };
  }
}

/** The row, or what is wrong with the file. */
function parseFile(path: string, id: number): EndpointRow | string {
  try {
    if (statSync(path).size > endpointFileSizeBytesMax) return `${path}: larger than ${endpointFileSizeBytesMax} bytes`;
    const parsed = parseEndpointState(readFileSync(path, "utf8"));
    if (parsed.kind === "unreadable")
      return `${path}: ${parsed.problems.map((problem) => `${problem.path} ${problem.message}`.trim()).join("; ")}`;
    return parsed.row.id === id ? parsed.row : `${path}: it is of endpoint ${parsed.row.id}`;
  } catch (cause) {
    return `${path}: ${errorMessage(cause)}`;
  }
}
