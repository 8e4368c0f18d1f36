import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const directory = join(import.meta.dirname, "..");

/** The path of the program that speaks SCTP, compiled now. */
export function compileSctpEnds(): string {
  const output = join(directory, "build/sctp-ends");
  mkdirSync(join(directory, "build"), { recursive: true });
  const flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1"];
  execFileSync("gcc", [...flags, join(directory, "native/sctp-ends.c"), "-o", output], { stdio: ["ignore", "inherit", "inherit"] });
  return output;
}

const firstPort = 20_000;

/** Servers and clients of SCTP in the network namespace of this process. */
export class SctpEnds {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, () => void>();
  #lastPort = firstPort;

  constructor(program: string) {
    this.#child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#child.stdout !== null)
      createInterface({ input: this.#child.stdout }).on("line", (line) => this.#waiting.get(Number(line))?.());
  }

  listen(port: number): void {
    this.#child.stdin?.write(`listen ${port}\n`);
  }

  /** `answered` or `timeout`. */
  ask(address: string, port: number, timeoutMs: number): Promise<string> {
    this.#lastPort = this.#lastPort === 60_000 ? firstPort : this.#lastPort + 1;
    const source = this.#lastPort;
    return new Promise<string>((resolve) => {
      this.#waiting.set(source, () => resolve("answered"));
      setTimeout(() => resolve("timeout"), timeoutMs).unref();
      this.#child.stdin?.write(`ask ${address} ${port} ${source}\n`);
    }).finally(() => this.#waiting.delete(source));
  }
}
