import { execFile } from "node:child_process";
import { UsageError } from "@cilium-ts/command-line";
import type { Executed, LogLimits, PodContainer } from "@cilium-ts/kubernetes/exec";

/** Runs commands inside of pods. */
export interface Executor {
  /** Rejects when the command could not be run, and with the signal's reason when aborted. */
  run(target: PodContainer, command: readonly string[], signal: AbortSignal): Promise<Executed>;
  /** The end of a container's log; rejects like run. */
  log(target: PodContainer, limits: LogLimits, signal: AbortSignal): Promise<string>;
}

const outputSizeBytesMax = 64 * 1024 * 1024;

/** By a program that is called with namespace, pod, container and the command, or none for the container's log: where no kubelet runs the pods. */
export class ProgramExecutor implements Executor {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  run({ namespace, pod, container }: PodContainer, command: readonly string[], signal: AbortSignal): Promise<Executed> {
    return new Promise((resolve, reject) => {
      const args = [namespace, pod, container, ...command];
      execFile(this.#path, args, { maxBuffer: outputSizeBytesMax, signal }, (error, stdout, stderr) => {
        if (signal.aborted) return reject(signal.reason);
        if (error !== null && typeof error.code !== "number")
          return reject(new UsageError(`${this.#path} cannot be run in place of pods/exec: ${error.message}`));
        resolve({ status: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
      });
    });
  }

  async log(target: PodContainer, { lines, sizeBytes }: LogLimits, signal: AbortSignal): Promise<string> {
    const text = await outputOf(this, target, [], signal);
    return text
      .split("\n")
      .slice(-lines - 1)
      .join("\n")
      .slice(-sizeBytes);
  }
}

/** At most so many commands run at once: each is a process in some pod. */
export class BoundedExecutor implements Executor {
  readonly #inner: Executor;
  readonly #concurrencyMax: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(inner: Executor, concurrencyMax: number) {
    this.#inner = inner;
    this.#concurrencyMax = concurrencyMax;
  }

  run(target: PodContainer, command: readonly string[], signal: AbortSignal): Promise<Executed> {
    return this.#inTurn(() => this.#inner.run(target, command, signal));
  }

  log(target: PodContainer, limits: LogLimits, signal: AbortSignal): Promise<string> {
    return this.#inTurn(() => this.#inner.log(target, limits, signal));
  }

  async #inTurn<T>(ask: () => Promise<T>): Promise<T> {
    while (this.#running >= this.#concurrencyMax) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      return await ask();
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}

/** The output of a command that must succeed. */
export async function outputOf(executor: Executor, target: PodContainer, command: readonly string[], signal: AbortSignal): Promise<string> {
  const { status, stdout, stderr } = await executor.run(target, command, signal);
  if (status === 0) return stdout;
  const said = (stderr || stdout).trim().split("\n").at(-1) ?? "";
  throw new Error(`${command[0] ?? "the log"} in ${target.namespace}/${target.pod} failed (${status}): ${said}`);
}
