import { spawn } from "node:child_process";
import { repositoryRoot } from "./repository.ts";

export interface CommandResult {
  /** Standard output and standard error in the order of their arrival. */
  readonly output: string;
  /** Standard output alone. */
  readonly stdout: string;
  /** undefined when a signal ended the program. */
  readonly exitCode: number | undefined;
}

export interface CommandOptions {
  /** The checkout by default. */
  readonly directory?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** The program is killed after it; 10 minutes by default. */
  readonly timeoutMs?: number;
}

/** Keeps what a program that runs wild may print within memory. */
const outputSizeMax = 64 * 1024 * 1024;

/**
 * Runs a program to its end without a shell and collects what it says. A failing program is an expected outcome and is returned;
 * only one that cannot be started is thrown.
 */
export async function runCommand(program: string, parameters: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const child = spawn(program, parameters, {
    cwd: options.directory ?? repositoryRoot,
    env: { ...process.env, ...options.environment },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: options.timeoutMs ?? 600_000,
  });
  const all: Buffer[] = [];
  const standard: Buffer[] = [];
  let sizeBytes = 0;
  const collect = (chunk: Buffer): boolean => {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > outputSizeMax) child.kill("SIGKILL");
    else all.push(chunk);
    return sizeBytes <= outputSizeMax;
  };
  child.stdout.on("data", (chunk: Buffer) => void (collect(chunk) && standard.push(chunk)));
  child.stderr.on("data", collect);
  const exitCode = await new Promise<number | undefined>((resolve, reject) => {
    child.once("error", (cause) => reject(new Error(`${program} cannot be run: ${cause.message}`, { cause })));
    child.once("close", (code) => resolve(code ?? undefined));
  });
  return { output: Buffer.concat(all).toString("utf8"), stdout: Buffer.concat(standard).toString("utf8"), exitCode };
}
