import { readdir, readFile, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { CniAnswer } from "./cni-handler.ts";

export interface DeleteQueueOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  handle(body: unknown): Promise<CniAnswer>;
  onProblem(message: string): void;
}

/** The plugin may still write here in the moment that we start: it found no socket before. */
const lookAgainMs = 10_000;
const fileSizeBytesMax = 1 << 20;

/** Serves the deletions that the plugin wrote down while no agent was there, until aborted. */
export async function serveDeleteQueue(options: DeleteQueueOptions): Promise<void> {
  let said = "";
  while (!options.signal.aborted) {
    try {
      await replayDeleteQueue(options);
      said = "";
    } catch (cause) {
      const problem = `the delete queue ${options.directory} cannot be served, and is tried again: ${errorMessage(cause)}`;
      if (problem !== said) options.onProblem(problem);
      said = problem;
    }
    await options.clock.sleep(lookAgainMs, options.signal).catch(() => {}); // Rejects only on abort.
  }
}

/** One pass over the directory, oldest name first. A file is removed when its deletion is done, or when it can never be. */
export async function replayDeleteQueue(options: Omit<DeleteQueueOptions, "clock" | "signal">): Promise<number> {
  let done = 0;
  for (const name of (await list(options.directory)).sort()) {
    const path = join(options.directory, name);
    const request = await parse(path);
    if (request === undefined) {
      options.onProblem(`${path} is no deletion that the CNI plugin wrote down, and is dropped`);
      await unlink(path);
      continue;
    }
    const answer = await options.handle(request);
    if (answer.status >= 500) {
      options.onProblem(`${path}: ${JSON.stringify(answer.body)}; it stays for the next attempt`);
      continue;
    }
    if (answer.status >= 400) options.onProblem(`${path} can never be served, and is dropped: ${JSON.stringify(answer.body)}`);
    await unlink(path);
    done += 1;
  }
  return done;
}

async function list(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).filter((name) => name.endsWith(".json"));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw cause;
  }
}

/** Undefined: it is not what the plugin leaves here. */
async function parse(path: string): Promise<unknown> {
  try {
    if ((await stat(path)).size > fileSizeBytesMax) return undefined;
    const request: unknown = JSON.parse(await readFile(path, "utf8"));
    return (request as { command?: unknown } | null)?.command === "DEL" ? request : undefined;
  } catch {
    return undefined;
  }
}
