import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { ensureKubectl } from "@cilium-ts/tools/kubectl";

export interface KubectlResult {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/** The real kubectl, with a cache of its own. The flags of a call are separated by spaces. */
export class Kubectl {
  readonly #program: string;
  readonly #own: readonly string[];

  private constructor(program: string, own: readonly string[]) {
    this.#program = program;
    this.#own = own;
  }

  static async open(kubeconfig: string, cacheDirectory: string): Promise<Kubectl> {
    return new Kubectl(await ensureKubectl(), ["--kubeconfig", kubeconfig, "--cache-dir", cacheDirectory]);
  }

  start(flags: string, environment: Record<string, string> = {}): ChildProcess {
    return spawn(this.#program, [...this.#own, ...flags.split(" ")], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
  }

  /** Runs it to its end; `input` goes to its standard input. */
  async run(flags: string, input = "", environment: Record<string, string> = {}): Promise<KubectlResult> {
    const child = this.start(flags, environment);
    let [output, errors] = ["", ""];
    child.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr?.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    child.stdin?.end(input);
    await once(child, "close");
    return { code: child.exitCode, output, errors };
  }

  async succeed(flags: string, input = "", environment: Record<string, string> = {}): Promise<string> {
    const { code, output, errors } = await this.run(flags, input, environment);
    assert.equal(code, 0, `kubectl ${flags}: ${errors}`);
    return output;
  }
}
