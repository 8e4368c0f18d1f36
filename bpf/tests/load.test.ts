import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { requireKernel } from "@cilium-ts/testing";
import { PodPrograms } from "./pod-programs.ts";

test("smoke", { skip: requireKernel() }, async (t) => {
  const started = performance.now();
  using programs = await PodPrograms.open();
  t.diagnostic(`${performance.now() - started} ms`);
  assert.ok(programs.program("from_pod").id > 0);
  void execFileSync;
});
