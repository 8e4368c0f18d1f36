import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { eventually } from "@cilium-ts/testing";
import { repositoryRoot } from "@cilium-ts/tools/repository";

/** One of our programs as a process of its own. */
export class Program implements AsyncDisposable {
  readonly process: ChildProcess;
  /** All that it has said. */
  output = "";

  constructor(app: "apiserver" | "operator", flags: readonly string[]) {
    const main = join(repositoryRoot, "apps", app, "src", "main.ts");
    this.process = spawn(process.execPath, [main, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
  }

  get hasEnded(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  /** Waits until it has said so. */
  async says(text: RegExp): Promise<RegExpExecArray> {
    return await eventually(
      () => {
        const found = text.exec(this.output);
        if (found === null) throw new Error(`${text} was not said: ${this.output}`);
        return found;
      },
      { deadlineMs: 30_000 },
    );
  }

  /** Its exit code; null when the signal ended it. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (!this.hasEnded) {
      this.process.kill(signal);
      await once(this.process, "exit");
    }
    return this.process.exitCode;
  }

  /** Gracefully, if it can. */
  async [Symbol.asyncDispose](): Promise<void> {
    const deadline = setTimeout(() => this.process.kill("SIGKILL"), 5_000);
    await this.end("SIGTERM");
    clearTimeout(deadline);
  }
}
