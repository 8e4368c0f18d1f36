#!/usr/bin/env node
import { run } from "./run.ts";

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
// A reader that had enough, such as head, ends the program quietly.
process.stdout.on("error", () => stop.abort());

const { stdout, stderr, env } = process;
const openKernel = async (): Promise<import("@cilium-ts/kernel").Kernel> => (await import("@cilium-ts/kernel")).openKernel();
process.exitCode = await run(process.argv.slice(2), { stdout, stderr, env, openKernel }, stop.signal);
// HTTP/2 connections of the monitor would keep the process for as long as they are idle.
process.exit();
