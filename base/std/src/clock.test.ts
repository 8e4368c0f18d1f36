import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "./clock.ts";
import { createSimulatedClock } from "./simulated-clock.ts";

const never = new AbortController().signal;

for (const [name, clock] of [
  ["the system clock", systemClock],
  ["the simulated clock", createSimulatedClock()],
] as const) {
  test(`${name}: an aborted sleep rejects with the signal's reason`, async () => {
    const stop = new AbortController();
    const sleeping = clock.sleep(60_000, stop.signal);
    stop.abort(new Error("enough"));
    await assert.rejects(sleeping, /enough/);
  });

  test(`${name}: sleep under a signal already aborted rejects`, async () => {
    await assert.rejects(clock.sleep(60_000, AbortSignal.abort(new Error("too late"))), /too late/);
  });
}

test("the system clock sleeps and ends", async () => {
  await systemClock.sleep(1, never);
});

test("a delay longer than a timer can hold does not end at once", async () => {
  const stop = new AbortController();
  const sleeping = systemClock.sleep(2 ** 40, stop.signal).then(
    () => "ended",
    () => "aborted",
  );
  await systemClock.sleep(5, never);
  stop.abort();
  assert.equal(await sleeping, "aborted");
});

test("simulated time wakes sleepers in order, each at its moment", async () => {
  const clock = createSimulatedClock(1000);
  const woken: string[] = [];
  const sleeper = async (name: string, delayMs: number): Promise<void> => {
    await clock.sleep(delayMs, never);
    woken.push(`${name}@${clock.nowMs()}`);
  };
  const all = [sleeper("late", 30), sleeper("early", 10), sleeper("never", 41)];
  await clock.advance(40);
  assert.deepEqual(woken, ["early@1010", "late@1030"]);
  assert.equal(clock.nowMs(), 1040);
  assert.equal(clock.sleepers, 1);
  await clock.advance(1);
  await Promise.all(all);
});

test("a sleeper that sleeps again is woken again within the same advance", async () => {
  const clock = createSimulatedClock(0);
  let rounds = 0;
  const stop = new AbortController();
  const loop = (async () => {
    for (;;) {
      await clock.sleep(10, stop.signal);
      rounds += 1;
    }
  })().catch(() => {});
  await clock.advance(100);
  assert.equal(rounds, 10);
  stop.abort();
  await loop;
});
