import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { type IdentityAction, type IdentityFacts, judgeIdentity } from "./identity-mark.ts";

const minute = 60_000;
const nowMs = 1_800_000_000_000;
const grace = { timeoutMs: 30 * minute, intervalMs: 15 * minute, nowMs };

const rows: readonly [what: string, facts: Partial<IdentityFacts>, action: IdentityAction][] = [
  ["is used", { isUsed: true }, "keep"],
  ["is used again after its mark", { isUsed: true, markedAtMs: nowMs - 60 * minute }, "unmark"],
  ["is found unused for the first time", {}, "mark"],
  ["lost its mark, though it is unused for long", { unusedForMs: 90 * minute }, "mark"],
  ["was marked by us at the last pass", { markedAtMs: nowMs - 15 * minute, unusedForMs: 15 * minute }, "keep"],
  ["is unused for the time-out", { markedAtMs: nowMs - 30 * minute, unusedForMs: 30 * minute }, "delete"],
  ["is unused for the time-out, and the wall clock went back", { markedAtMs: nowMs + 600 * minute, unusedForMs: 30 * minute }, "delete"],
  ["was marked by a predecessor long ago, and we have only just looked", { markedAtMs: nowMs - 600 * minute }, "keep"],
  [
    "was marked by a predecessor long ago, and we looked for an interval",
    { markedAtMs: nowMs - 600 * minute, unusedForMs: 15 * minute },
    "delete",
  ],
  ["was marked by a predecessor just now", { markedAtMs: nowMs - minute, unusedForMs: 15 * minute }, "keep"],
];
for (const [what, facts, action] of rows) {
  test(`an identity that ${what}: ${action}`, () => {
    assert.equal(judgeIdentity({ isUsed: false, markedAtMs: undefined, unusedForMs: 0, ...facts }, grace), action);
  });
}

test("whatever the wall clock does, no identity is deleted that was not unused for an interval of our own, and marked", () => {
  const random = createRandom(3);
  for (let round = 0; round < 5_000; round += 1) {
    const facts: IdentityFacts = {
      isUsed: random.chance(0.3),
      markedAtMs: random.chance(0.3) ? undefined : random.below(2e12),
      unusedForMs: random.below(60 * minute),
    };
    if (judgeIdentity(facts, { ...grace, nowMs: random.below(2e12) }) !== "delete") continue;
    assert.ok(!facts.isUsed && facts.markedAtMs !== undefined && facts.unusedForMs >= grace.intervalMs, JSON.stringify(facts));
  }
});
