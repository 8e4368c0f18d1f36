import assert from "node:assert/strict";
import { test } from "node:test";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { Readiness } from "./readiness.ts";

test("what is missing first is named, until nothing is, and each milestone has its time", async () => {
  const clock = createSimulatedClock();
  const readiness = new Readiness(clock);
  assert.equal(readiness.missing(), "the API is not served yet");
  for (const milestone of ["policies", "api", "datapath", "identities"] as const) {
    await clock.advance(10);
    readiness.reached(milestone);
  }
  assert.equal(readiness.missing(), "the policies of restored endpoints are being enforced");
  await clock.advance(10);
  readiness.reached("api");
  readiness.reached("endpoints");
  assert.equal(readiness.missing(), undefined);
  assert.deepEqual(readiness.timings(), { policies: 10, api: 20, datapath: 30, identities: 40, endpoints: 50 });
});
