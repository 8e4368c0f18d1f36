import assert from "node:assert/strict";
import test from "node:test";
import { parseDuration } from "./duration.ts";

for (const [text, expected] of [
  ["15m0s", 900_000],
  ["1h30m", 5_400_000],
  ["2.5s", 2_500],
  ["100ms", 100],
  ["0", 0],
  ["0s", 0],
  ["15", undefined],
  ["-1s", undefined],
  ["", undefined],
  ["1d", undefined],
] as const) {
  test(`the duration ${JSON.stringify(text)} is ${expected}`, () => assert.equal(parseDuration(text), expected));
}
