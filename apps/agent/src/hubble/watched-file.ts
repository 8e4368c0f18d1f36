import { readFile } from "node:fs/promises";
import { type Clock, errorMessage } from "@cilium-ts/std";

export interface WatchedFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly intervalMs?: number;
  /** Takes the text, or says what is wrong with it: then what was taken before stays. */
  readonly take: (text: string) => readonly string[];
  /** Said once, until it changes. */
  readonly onProblem: (message: string) => void;
}

/** Reads a file of settings now and whenever its text has changed, until aborted. Links that are swapped, as those of a mounted ConfigMap, count too. */
export async function followFile(options: WatchedFileOptions, signal: AbortSignal): Promise<void> {
  const { path, clock, intervalMs = 5_000, take, onProblem } = options;
  let seen: string | undefined;
  let said = "";
  while (!signal.aborted) {
    let problem = "";
    try {
      const text = await readFile(path, "utf8");
      if (text !== seen) {
        seen = text;
        problem = take(text).join("; ");
      } else problem = said;
    } catch (cause) {
      problem = errorMessage(cause);
    }
    if (problem !== said && problem !== "") onProblem(`${path}: ${problem}; what it said before stays in force`);
    said = problem;
    await clock.sleep(intervalMs, signal).catch(() => {}); // Rejects only on abort.
  }
}
