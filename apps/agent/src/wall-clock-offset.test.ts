import assert from "node:assert/strict";
import { test } from "node:test";
import { createWallClockOffset } from "./wall-clock-offset.ts";

test("the offset does not waver with the millisecond, and follows a clock that is set", () => {
  let realMs = 1_000_000;
  let monotonicNs = 500_900_000n;
  const offset = createWallClockOffset(
    () => monotonicNs,
    () => realMs,
  );
  const first = offset();
  monotonicNs += 300_000n;
  assert.equal(offset(), first);
  realMs += 1;
  assert.equal(offset(), first);
  realMs += 60_000;
  assert.equal(offset() - first, 60_000n * 1_000_000n + 1_000_000n - 300_000n);
});
