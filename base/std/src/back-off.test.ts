import assert from "node:assert/strict";
import { test } from "node:test";
import { createBackOff } from "./back-off.ts";

const rows: { attempt: number; random: number; delayMs: number }[] = [
  { attempt: 0, random: 0, delayMs: 100 },
  { attempt: 1, random: 0, delayMs: 100 },
  { attempt: 1, random: 1, delayMs: 200 },
  { attempt: 2, random: 0, delayMs: 200 },
  { attempt: 4, random: 0.5, delayMs: 1200 },
  { attempt: 9, random: 0, delayMs: 15_000 },
  { attempt: 1_000_000, random: 1, delayMs: 30_000 },
];

for (const { attempt, random, delayMs } of rows) {
  test(`failure ${attempt} with a draw of ${random} waits ${delayMs} ms`, () => {
    assert.equal(createBackOff({ delayMsMin: 100, delayMsMax: 30_000, random: () => random }).delayMs(attempt), delayMs);
  });
}
