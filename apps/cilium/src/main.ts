#!/usr/bin/env node
import { systemClock } from "@cilium-ts/std";
import { run } from "./run.ts";

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
// A reader that had enough, such as head, ends the program quietly.
process.stdout.on("error", () => stop.abort());

const { stdin, stdout, stderr, env } = process;
process.exitCode = await run(process.argv.slice(2), { stdin, stdout, stderr, env, clock: systemClock }, stop.signal);
// Connections that are kept alive would keep the process too.
process.exit();
