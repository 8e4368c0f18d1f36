import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { removeLab } from "./remove-lab.ts";

test("a program that no record names is ended, and one of another lab is not", { skip: requireKernel() }, async () => {
  const name = `r${process.pid % 100_000}`;
  const folder = mkdtempSync(join(tmpdir(), "lab-"));
  mkdirSync(join(folder, "build/bin"), { recursive: true });
  const program = join(folder, "build/bin/main.js");
  writeFileSync(program, "setInterval(() => {}, 1000); console.log('up');");
  const start = (lab: string): ReturnType<typeof spawn> =>
    spawn(process.execPath, [program, "--state-dir", `/run/cilium-ts/${lab}/apiserver`], { stdio: ["ignore", "pipe", "ignore"] });
  const [own, other] = [start(name), start(`${name}x`)];
  try {
    for (const child of [own, other]) await once(child.stdout ?? child, "data");
    await removeLab(name);
    await eventually(() => assert.equal(own.signalCode, "SIGKILL"));
    assert.equal(other.signalCode, null);
  } finally {
    for (const child of [own, other]) child.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  }
});
