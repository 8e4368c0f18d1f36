import { errorMessage, systemClock } from "@cilium-ts/std";
import { destination, pino } from "pino";
import { runApiServer } from "./run.ts";
import { parseSettings } from "./settings.ts";
import { validators } from "./validators.ts";

/** After a signal everything must have ended within this time. */
const stopDeadlineMs = 2_000;

async function main(): Promise<number> {
  const parsed = parseSettings(process.argv.slice(2));
  if (parsed.outcome === "help") {
    process.stdout.write(parsed.text);
    return 0;
  }
  if (parsed.outcome === "problem") {
    process.stderr.write(`cilium-apiserver: ${parsed.problem}\n`);
    return 2;
  }
  const log = pino({ name: "cilium-apiserver" }, destination({ dest: 2, sync: true }));
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      stop.abort();
      setTimeout(() => process.exit(1), stopDeadlineMs).unref();
    });
  }
  try {
    await runApiServer({ settings: parsed.settings, log, clock: systemClock, validators }, stop.signal);
    return 0;
  } catch (cause) {
    process.stderr.write(`cilium-apiserver: ${errorMessage(cause)}\n`);
    return 1;
  }
}

process.exitCode = await main();
