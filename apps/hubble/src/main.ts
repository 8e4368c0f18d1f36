#!/usr/bin/env node
import { run } from "./run.ts";

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
// A reader that had enough, such as head, ends the program quietly.
process.stdout.on("error", () => stop.abort());

const { stdin, stdout, stderr, env } = process;
process.exitCode = await run(
  process.argv.slice(2),
  { stdin, stdout, stderr, env, isTerminal: stdout.isTTY === true, nowMs: () => Date.now() },
  stop.signal,
);
// HTTP/2 connections would keep the process for as long as they are idle.
process.exit();
