import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseAddress } from "@cilium-ts/net";
import type { Lookup } from "@cilium-ts/policy";

/** Lines that are only added to, before the file is written anew. */
const appendedMax = 10_000;

/**
 * What endpoints have heard of names, for the next run. A line is added before anybody hears of what it says, so that an agent that is
 * killed forgets nothing that a pod knows; a machine that loses its power has no connections to lose.
 */
export class LookupsFile {
  readonly #path: string;
  #appended = 0;

  constructor(stateDirectory: string) {
    this.#path = join(stateDirectory, "dns-lookups.jsonl");
  }

  /** Lines that cannot be read are passed over; the last may be half of one. */
  read(): Lookup[] {
    let text = "";
    try {
      text = readFileSync(this.#path, "utf8");
    } catch {
      return []; // The first run.
    }
    return text.split("\n").flatMap((line) => parseLine(line) ?? []);
  }

  append(lookups: readonly Lookup[]): void {
    this.#appended += lookups.length;
    appendFileSync(this.#path, lookups.map(formatLine).join(""), { mode: 0o600 });
  }

  /** Whether so much was added that it should be written anew. */
  get isLong(): boolean {
    return this.#appended > appendedMax;
  }

  write(lookups: Iterable<Lookup>): void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    const lines: string[] = [];
    for (const lookup of lookups) lines.push(formatLine(lookup));
    writeFileSync(`${this.#path}.new`, lines.join(""), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
    this.#appended = 0;
  }
}

function formatLine({ endpointId, name, address, lookedUpS, ttlS, expiresS }: Lookup): string {
  return `${JSON.stringify([endpointId, name, address, lookedUpS, ttlS, expiresS])}\n`;
}

function parseLine(line: string): Lookup | undefined {
  try {
    const [endpointId, name, address, ...times] = JSON.parse(line) as readonly unknown[];
    const [lookedUpS, ttlS, expiresS] = times;
    if (typeof endpointId !== "number" || typeof name !== "string" || typeof address !== "string") return undefined;
    if (typeof lookedUpS !== "number" || typeof ttlS !== "number" || typeof expiresS !== "number") return undefined;
    return parseAddress(address) === undefined ? undefined : { endpointId, name, address, lookedUpS, ttlS, expiresS };
  } catch {
    return undefined;
  }
}
