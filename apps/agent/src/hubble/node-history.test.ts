import assert from "node:assert/strict";
import { mkdtempDisposableSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FlowRing } from "@cilium-ts/flow";
import { sampleContext, sampleEvents } from "@cilium-ts/flow/testing";
import { Metrics } from "@cilium-ts/metrics";
import { systemClock } from "@cilium-ts/std";
import { measureHistory, startNodeHistory } from "./node-history.ts";

test("the history of a node is kept until the agent ends, and measured", async () => {
  using folder = mkdtempDisposableSync(join(tmpdir(), "node-history-"));
  const ring = new FlowRing({ capacity: 63, instance: new Uint8Array(9) });
  const ages = { sizeBytesMax: 1e6, ageMsMax: 1e15 };
  const settings = { directory: join(folder.path, "history"), ...ages, traffic: ages };
  const log = { error: assert.fail, warn: assert.fail, info() {}, debug() {} };
  const history = startNodeHistory({ settings, ring, context: sampleContext(), clock: systemClock, log });
  const registry = new Metrics();
  const measure = measureHistory(history.store, registry);
  const count = sampleEvents().length;
  for (const record of sampleEvents()) ring.appendRecord(record);
  await history[Symbol.asyncDispose]();
  for (let times = 0; times < 2; times += 1) {
    measure();
    assert.match(registry.text(), new RegExp(`^hubble_history_events_total\\{outcome="kept"\\} ${count}$`, "m"));
  }
  assert.match(registry.text(), /^hubble_history_events_total\{outcome="lost"\} 0$/m);
  assert.match(registry.text(), /^hubble_history_bytes\{kind="flows"\} [1-9]\d+$/m);
  assert.match(registry.text(), /^hubble_history_oldest_timestamp_seconds 17672256\d\d/m);
});
