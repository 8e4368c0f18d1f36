import type { Writable } from "node:stream";
import { errorMessage } from "@cilium-ts/std";
import { type Command, CommanderError } from "commander";
import { UsageError } from "./usage-error.ts";

export interface ProgramOptions {
  readonly args: readonly string[];
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Failures whose own message says it all. Of others the causes are told too. */
  readonly isPlain?: (cause: unknown) => boolean;
  /** The user has had enough: then a failure is none. */
  readonly signal?: AbortSignal;
  /** Adds commands, where that may fail. */
  readonly prepare?: () => void;
}

/** A failure that has been told already: only the exit code is left to say. */
export class ExitCode extends Error {
  override readonly name = "ExitCode";
  readonly code: number;

  constructor(code: number) {
    super(`exit code ${code}`);
    this.code = code;
  }
}

/** For work that was cut short by the user: half of it must not pass for the whole. As shells say of SIGINT. */
export async function unlessInterrupted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (signal.aborted && !(cause instanceof ExitCode)) throw new ExitCode(130);
    throw cause;
  }
}

/** Runs the command that the arguments name, and returns the exit code. Every failure is one sentence on stderr. */
export async function runProgram(program: Command, options: ProgramOptions): Promise<number> {
  const { args, stdout, stderr, isPlain, signal } = options;
  program.exitOverride().configureOutput({
    writeOut: (text) => void stdout.write(text),
    writeErr: (text) => void stderr.write(text),
  });
  try {
    options.prepare?.();
    inheritSettings(program);
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (cause) {
    if (cause instanceof ExitCode) return cause.code;
    if (signal?.aborted === true) return 0;
    if (cause instanceof CommanderError) return cause.exitCode;
    const plain = cause instanceof UsageError || isPlain?.(cause) === true;
    stderr.write(`${program.name()}: ${plain && cause instanceof Error ? cause.message : errorMessage(cause)}\n`);
    return 1;
  }
}

/** Commander gives a command what its parent had when it was made, and these are made before. */
function inheritSettings(parent: Command): void {
  for (const command of parent.commands) {
    command.exitOverride().copyInheritedSettings(parent);
    inheritSettings(command);
  }
}
