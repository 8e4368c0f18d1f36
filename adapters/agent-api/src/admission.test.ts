import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { Admission } from "./admission.ts";

const never = new AbortController().signal;

test("whoever comes on top waits, first come first served, and is turned away only when the line is full", async () => {
  const admission = new Admission({ runningMax: 2, waitingMax: 3 });
  const gates = Array.from({ length: 6 }, () => Promise.withResolvers<void>());
  const begun: number[] = [];
  const runs = gates.map((gate, index) =>
    admission.run(async () => {
      begun.push(index);
      await gate.promise;
      return index;
    }, never),
  );
  assert.deepEqual([admission.running, admission.waiting, admission.turnedAway], [2, 3, 1]);
  assert.deepEqual(await runs[5], { kind: "full" });
  gates[1]?.resolve();
  await runs[1];
  assert.deepEqual(begun, [0, 1, 2]);
  for (const gate of gates) gate.resolve();
  assert.deepEqual(await runs[4], { kind: "done", value: 4 });
  assert.deepEqual(begun, [0, 1, 2, 3, 4]);
  assert.deepEqual([admission.running, admission.waiting], [0, 0]);
});

test("whoever leaves the line gives the place behind up, and nobody else's", async () => {
  const admission = new Admission({ runningMax: 1, waitingMax: 2 });
  const gate = Promise.withResolvers<void>();
  const leaver = new AbortController();
  const first = admission.run(() => gate.promise, never);
  const second = admission.run(async () => "second", leaver.signal);
  const third = admission.run(async () => "third", never);
  leaver.abort(new Error("gone"));
  await assert.rejects(second, /gone/);
  gate.resolve();
  await first;
  assert.deepEqual(await third, { kind: "done", value: "third" });
  assert.equal(admission.running, 0);
});

test("work that fails gives its place back", async () => {
  const admission = new Admission({ runningMax: 1, waitingMax: 0 });
  const failing = async (): Promise<void> => {
    throw new Error("no");
  };
  await assert.rejects(admission.run(failing, never), /no/);
  assert.deepEqual(await admission.run(async () => 1, never), { kind: "done", value: 1 });
});

test("never more run at once than may, whatever comes, fails and leaves", async () => {
  for (let seed = 0; seed < 50; seed += 1) {
    const random = createRandom(seed);
    const admission = new Admission({ runningMax: 3, waitingMax: 5 });
    let running = 0;
    const runs: Promise<unknown>[] = [];
    for (let count = 0; count < 100; count += 1) {
      const leaver = new AbortController();
      const work = async (): Promise<void> => {
        running += 1;
        assert.ok(running <= 3, `seed ${seed}`);
        for (let turns = random.below(3); turns > 0; turns -= 1) await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        if (random.chance(0.3)) throw new Error("failed");
      };
      runs.push(admission.run(work, leaver.signal).catch((error) => assert.doesNotMatch(String(error), /Assertion/)));
      if (random.chance(0.2)) leaver.abort(new Error("left"));
      if (random.chance(0.4)) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(runs);
    assert.deepEqual([admission.running, admission.waiting], [0, 0], `seed ${seed}`);
  }
});
