import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { HeldMessages, type Message } from "./held-messages.ts";
import { type HistorySource, mergeHistory } from "./history-merge.ts";
import { NewestMessages } from "./newest-messages.ts";
import { ResumePoint } from "./resume-point.ts";

const message = (timeMs: number, kind = 1, sizeBytes = 4): Message => ({ frame: new Uint8Array(sizeBytes).fill(timeMs), timeMs, kind });
const times = (messages: readonly Message[]): number[] => messages.map(({ timeMs }) => timeMs);

test("held messages leave in order, none before its time and none later, and equals as they came", () => {
  const random = createRandom(3);
  const held = new HeldMessages();
  const waiting: number[] = [];
  for (let nowMs = 0; nowMs < 2_000; nowMs += 1) {
    for (let count = random.below(4); count > 0; count -= 1) {
      const timeMs = nowMs - random.below(50);
      held.add(message(timeMs));
      waiting.push(timeMs);
    }
    const due = waiting.filter((timeMs) => timeMs <= nowMs - 20).sort((one, other) => one - other);
    assert.deepEqual(times(held.takeUntil(nowMs - 20)), due);
    for (const timeMs of due) waiting.splice(waiting.indexOf(timeMs), 1);
    assert.equal(held.size, waiting.length);
    assert.equal(held.sizeBytes, waiting.length * 4);
  }
  held.takeUntil(Number.POSITIVE_INFINITY);
  for (const kind of [1, 2, 3]) held.add(message(5, kind));
  assert.deepEqual(
    held.takeUntil(5).map(({ kind }) => kind),
    [1, 2, 3],
  );
});

function sourceOf(name: string, batches: ReadonlyArray<readonly number[]>, canceled: string[]): HistorySource {
  const left = batches.map((batch) => batch.map((timeMs) => message(timeMs)));
  return { name, next: async () => left.shift(), isAlive: async () => false, cancel: () => void canceled.push(name) };
}

test("histories are merged whatever their batches, and ended ones are not waited for", async () => {
  const canceled: string[] = [];
  const sources = [
    sourceOf("a", [[1, 4], [5], [9, 10]], canceled),
    sourceOf("b", [[2, 3, 6, 7, 8]], canceled),
    sourceOf("c", [], canceled),
  ];
  const merged: number[] = [];
  for await (const messages of mergeHistory({ sources, stallTimeoutMs: 1_000, onStalled: assert.fail })) merged.push(...times(messages));
  assert.deepEqual(merged, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("a source that is silent is waited for six times as long when it is alive, and once when it is not", async () => {
  for (const isAlive of [true, false]) {
    const canceled: string[] = [];
    const stalled: string[] = [];
    let asked = 0;
    const silent: HistorySource = {
      name: "silent",
      next: () => new Promise(() => {}),
      async isAlive() {
        asked += 1;
        return isAlive;
      },
      cancel: () => void canceled.push("silent"),
    };
    const sources = [silent, sourceOf("b", [[1]], canceled)];
    const merged: number[] = [];
    for await (const messages of mergeHistory({ sources, stallTimeoutMs: 5, onStalled: (name) => void stalled.push(name) }))
      merged.push(...times(messages));
    assert.deepEqual([merged, stalled, asked], [[1], ["silent"], isAlive ? 5 : 1]);
  }
});

test("whoever has had enough of a history ends its sources", async () => {
  const canceled: string[] = [];
  const sources = [sourceOf("a", [[1], [3]], canceled), sourceOf("b", [[2], [4]], canceled)];
  for await (const _messages of mergeHistory({ sources, stallTimeoutMs: 1_000, onStalled: assert.fail })) break;
  assert.deepEqual(canceled, ["a", "b"]);
});

test("the newest are kept within a number, not counting losses, and within memory, counting what is given up", () => {
  const newest = new NewestMessages(2, 1_000);
  for (const [timeMs, kind] of [
    [1, 1],
    [2, 3],
    [3, 1],
    [4, 3],
    [5, 1],
  ] as const)
    newest.add(message(timeMs, kind));
  assert.deepEqual(times(newest.take()), [2, 3, 4, 5]);
  const small = new NewestMessages(100_000, 100);
  for (let timeMs = 0; timeMs < 5_000; timeMs += 1) small.add(message(timeMs, 1, 10));
  assert.deepEqual([small.take().length, small.tooMany, small.take().at(-1)?.timeMs], [10, 4_990, 4_999]);
});

test("a resume point knows what came, asks from a little earlier, and for nothing older than it was asked for", () => {
  const point = new ResumePoint(500);
  assert.equal(point.sinceMs, 500);
  const frame = (n: number): Uint8Array => Buffer.from(`flow ${n}`);
  assert.ok(point.note(frame(1), 10_000));
  assert.equal(point.sinceMs, 10_000);
  for (let n = 2; n <= 1_000; n += 1) assert.ok(point.note(frame(n), 10_000 + n * 10));
  assert.equal(point.sinceMs, 18_000);
  for (let n = 800; n <= 1_000; n += 1) assert.ok(!point.note(frame(n), 10_000 + n * 10), `flow ${n} came before`);
  for (let n = 1_001; n <= 10_000; n += 1) assert.ok(point.note(frame(n), 20_000));
  assert.ok(point.sinceMs >= 18_000, "what was forgotten is not asked for again");
  assert.ok(point.note(frame(1), Number.NaN) && point.note(frame(1), Number.NaN), "without a time nothing can be told apart");
});
