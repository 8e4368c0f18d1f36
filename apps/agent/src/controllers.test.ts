import assert from "node:assert/strict";
import { test } from "node:test";
import { Table } from "@cilium-ts/state";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { Controllers } from "./controllers.ts";

function setUp() {
  const clock = createSimulatedClock();
  const said: string[] = [];
  const line = (message: string): void => void said.push(message);
  const runs: string[] = [];
  const controllers = new Controllers({
    clock,
    log: { error: line, warn: line, info: line, debug: line },
    onRun: (outcome, seconds) => runs.push(`${outcome} ${seconds}`),
  });
  return { clock, said, runs, controllers, stop: new AbortController() };
}

test("work that fails is done again, and its failure is said once until it is over", async () => {
  const { clock, said, runs, controllers, stop } = setUp();
  const outcomes = [false, false, true, false];
  let count = 0;
  const running = controllers.every("count", 1_000, stop.signal, () => {
    const outcome = outcomes[count];
    count += 1;
    if (outcome === false) throw new Error("no luck");
  });
  for (let step = 0; step < 4; step += 1) {
    if (step === 1) assert.equal(controllers.all()[0]?.consecutiveFailures, 2);
    await clock.advance(1_000);
  }
  stop.abort();
  await running;
  assert.equal(said.filter((text) => text === "no luck; it is tried again in 1 s").length, 2);
  const [state] = controllers.all();
  assert.deepEqual([state?.name, state?.lastFailure, state?.consecutiveFailures], ["count", "no luck", 0]);
  assert.deepEqual([state?.failures, (state?.successes ?? 0) > 0, runs.length], [3, true, count]);
});

test("a target that refuses a row is a failure until the row is in place", async () => {
  const { clock, controllers, stop, said } = setUp();
  const table = new Table<string, { key: string }>({ name: "rows", keyOf: (row) => row.key, sources: ["test"] });
  let refuses = true;
  const target = {
    async apply() {
      if (refuses) throw new Error("full");
    },
    async remove() {},
    realised: async () => [],
  };
  const running = controllers.keep("row", table, target, stop.signal);
  table.upsert({ key: "a" });
  await clock.advance(150);
  assert.ok((controllers.all()[0]?.consecutiveFailures ?? 0) > 0);
  assert.deepEqual(said, ["row a is not as it should be, and is tried again: full"]);
  refuses = false;
  await clock.advance(60_000);
  assert.equal(controllers.all()[0]?.consecutiveFailures, 0);
  stop.abort();
  await running;
});
