import assert from "node:assert/strict";
import { test } from "node:test";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { Pace } from "./pace.ts";

const never = new AbortController().signal;

test("a burst passes at once, then so many a second, and rest fills the burst again", async () => {
  const clock = createSimulatedClock();
  const pace = new Pace({ clock, monotonicMs: clock.nowMs, perSecond: 10, burst: 3 });
  let passed = 0;
  const running = (async () => {
    for (let turn = 0; turn < 8; turn += 1) {
      await pace.take(never);
      passed += 1;
    }
  })();
  for (const [afterMs, expected] of [
    [0, 3],
    [99, 3],
    [1, 4],
    [100, 5],
    [300, 8],
  ] as const) {
    await clock.advance(afterMs);
    assert.equal(passed, expected);
  }
  await running;
  await clock.advance(1_000);
  for (let turn = 0; turn < 3; turn += 1) await pace.take(never);
  const stop = new AbortController();
  const waiting = pace.take(stop.signal);
  stop.abort(new Error("stopped"));
  await assert.rejects(waiting, /stopped/);
});
