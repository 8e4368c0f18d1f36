import assert from "node:assert/strict";
import { test } from "node:test";
import { stepTrial, type Trial, type TrialEvent } from "./trial.ts";

const settled: Trial = { kind: "settled" };
const cut: TrialEvent = { kind: "changed", lost: ["SSH"], isConfirmed: false };
const fine: TrialEvent = { kind: "changed", lost: [], isConfirmed: false };

/** Each line: when, what happens, and what comes of it: `KIND ACT`. */
function check(...lines: ReadonlyArray<readonly [atMs: number, event: TrialEvent, expected: string]>): void {
  let trial = settled;
  for (const [index, [atMs, event, expected]] of lines.entries()) {
    const { next, act } = stepTrial(trial, event, atMs, 60_000);
    assert.equal(`${next.kind} ${act}`, expected, `line ${index + 1}`);
    trial = next;
  }
}

const time: TrialEvent = { kind: "time" };
const confirmed: TrialEvent = { kind: "confirmed" };

test("a policy that cuts the node off is in force for its time, and then what was before comes back", () =>
  check([0, cut, "tried none"], [59_999, time, "tried none"], [60_000, time, "reverted revert"], [500_000, time, "reverted none"]));

test("one that is confirmed stays, whether before, in the trial or as a repetition", () => {
  check([0, cut, "tried none"], [30_000, confirmed, "settled accept"], [500_000, time, "settled none"]);
  check([0, { ...cut, isConfirmed: true }, "settled accept"]);
  check([0, cut, "tried none"], [60_000, time, "reverted revert"], [61_000, confirmed, "reverted none"]);
});

test("one more change that cuts the node off does not make the countdown longer, and one that does not ends it", () => {
  check([0, cut, "tried none"], [50_000, cut, "tried none"], [60_000, time, "reverted revert"]);
  check(
    [0, cut, "tried none"],
    [50_000, fine, "watched none"],
    [60_000, time, "watched none"],
    [61_000, { kind: "answered" }, "settled accept"],
  );
  check([0, cut, "tried none"], [50_000, { kind: "withdrawn" }, "settled accept"]);
});

test("what seemed to be fine is taken back when the API server does not answer", () => {
  check([0, fine, "watched none"], [60_000, time, "reverted revert"]);
  check([0, fine, "watched none"], [1_000, { kind: "answered" }, "settled accept"], [60_000, time, "settled none"]);
});

test("an answer of the API server does not excuse a policy that cuts off something else", () =>
  check([0, cut, "tried none"], [1_000, { kind: "answered" }, "tried none"], [60_000, time, "reverted revert"]));

test("what is found by a second look counts from then, and what a session's end hides is not forgotten", () => {
  check(
    [0, fine, "watched none"],
    [10_000, { kind: "judged", lost: ["SSH"] }, "tried none"],
    [60_000, time, "tried none"],
    [70_000, time, "reverted revert"],
  );
  check([0, cut, "tried none"], [10_000, { kind: "judged", lost: [] }, "tried none"], [60_000, time, "reverted revert"]);
});

test("a reason names some of what is lost, and counts the rest", () => {
  const lost = Array.from({ length: 1_000 }, (_, index) => `node ${index}`);
  const { next } = stepTrial({ kind: "tried", untilMs: 0, lost }, time, 0, 60_000);
  assert.equal(next.kind === "reverted" && next.reason.endsWith("node 7 and 992 more would be cut off"), true);
});

test("after a revert other policies are tried anew", () =>
  check(
    [0, cut, "tried none"],
    [60_000, time, "reverted revert"],
    [90_000, cut, "tried none"],
    [149_999, time, "tried none"],
    [150_000, time, "reverted revert"],
  ));
