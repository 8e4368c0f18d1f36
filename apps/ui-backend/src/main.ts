#!/usr/bin/env node
import { createLog } from "@cilium-ts/log";
import { errorMessage, systemClock } from "@cilium-ts/std";
import packageJson from "../package.json" with { type: "json" };
import { runUiBackend } from "./run-ui-backend.ts";
import { parseSettings, usage } from "./settings.ts";

/** After a signal everything must have ended within this time. */
const stopDeadlineMs = 5_000;

async function main([command]: readonly string[]): Promise<number> {
  if (command === "version") return say(process.stdout, `hubble-ui-backend v${packageJson.version} on Node ${process.version}\n`, 0);
  if (command === "--help" || command === "-h") return say(process.stdout, usage, 0);
  if (command !== undefined) return say(process.stderr, `hubble-ui-backend: there is no command ${JSON.stringify(command)}\n${usage}`, 2);
  const parsed = parseSettings(process.env);
  if (parsed.kind === "problems")
    return say(process.stderr, parsed.problems.map((problem) => `hubble-ui-backend: ${problem}\n`).join(""), 2);
  const log = createLog({ level: parsed.settings.isVerbose ? "debug" : "info", descriptor: 2 });
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      stop.abort();
      setTimeout(() => process.exit(1), stopDeadlineMs).unref();
    });
  }
  try {
    await runUiBackend({ clock: systemClock, log, version: packageJson.version }, parsed.settings, stop.signal);
    return 0;
  } catch (cause) {
    return say(process.stderr, `hubble-ui-backend: ${errorMessage(cause)}\n`, 1);
  }
}

function say(stream: NodeJS.WritableStream, text: string, code: number): number {
  stream.write(text);
  return code;
}

process.exitCode = await main(process.argv.slice(2));
