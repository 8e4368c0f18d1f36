import assert from "node:assert/strict";
import { test } from "node:test";
import { type CheckStep, check } from "./check.ts";

async function run(steps: readonly CheckStep[]): Promise<{ passed: boolean; lines: string[] }> {
  const lines: string[] = [];
  const passed = await check({ steps, onLine: (line) => lines.push(line.replace(/\(\d+\.\d s\)/, "(time)")) });
  return { passed, lines };
}

test("each step that finds nothing is one line", async () => {
  const result = await run([
    { name: "types", run: async () => [] },
    { name: "layers", run: async () => [] },
  ]);
  assert.deepEqual(result, { passed: true, lines: ["ok types (time)", "ok layers (time)"] });
});

test("all failures are reported at once, below their steps, also those of steps that cannot run", async () => {
  const result = await run([
    { name: "types", run: async () => ["a.ts:1: wrong\nand why"] },
    { name: "layers", run: async () => [] },
    { name: "tidy", run: () => Promise.reject(new Error("git cannot list the files")) },
  ]);
  assert.deepEqual(result, {
    passed: false,
    lines: [
      "FAILED types (time)",
      "  a.ts:1: wrong\n  and why",
      "ok layers (time)",
      "FAILED tidy (time)",
      "  git cannot list the files",
      "2 of 3 checks failed: types, tidy",
    ],
  });
});
