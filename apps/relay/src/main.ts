#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { createLog } from "@cilium-ts/log";
import { errorMessage, systemClock } from "@cilium-ts/std";
import packageJson from "../package.json" with { type: "json" };
import { runRelay } from "./run-relay.ts";
import { parseSettings } from "./settings.ts";

/** After a signal everything must have ended within this time. */
const stopDeadlineMs = 5_000;
const usage = "Usage: hubble-relay serve [FLAGS] | version\n";

async function main([command, ...args]: readonly string[]): Promise<number> {
  if (command === "version") return say(process.stdout, `hubble-relay v${packageJson.version} on Node ${process.version}\n`, 0);
  if (command === undefined || command === "--help" || command === "-h") return say(process.stdout, usage, 0);
  if (command !== "serve") return say(process.stderr, `hubble-relay: there is no command ${JSON.stringify(command)}\n${usage}`, 2);
  const parsed = parseSettings(args, process.env, readConfigFile);
  if (parsed.kind === "help") return say(process.stdout, parsed.text, 0);
  if (parsed.kind === "problems") return say(process.stderr, parsed.problems.map((problem) => `hubble-relay: ${problem}\n`).join(""), 2);
  const log = createLog({ level: "info", descriptor: 2 });
  for (const note of parsed.notes) log.info(note);
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      stop.abort();
      setTimeout(() => process.exit(1), stopDeadlineMs).unref();
    });
  }
  try {
    await runRelay({ clock: systemClock, log, version: packageJson.version }, parsed.settings, stop.signal);
    return 0;
  } catch (cause) {
    return say(process.stderr, `hubble-relay: ${errorMessage(cause)}\n`, 1);
  }
}

function say(stream: NodeJS.WritableStream, text: string, code: number): number {
  stream.write(text);
  return code;
}

function readConfigFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // Whether it has to be there is for the settings to say.
  }
}

process.exitCode = await main(process.argv.slice(2));
