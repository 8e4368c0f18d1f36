import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentEventRing } from "./agent-event-ring.ts";

test("the last events are kept with their time, and each keeps its number", () => {
  let nowNs = 0;
  const ring = new AgentEventRing(() => ++nowNs, 3);
  let woken = 0;
  const leave = ring.onAppend(() => woken++);
  const event = (id: number) => ({ kind: "endpoint-regenerated", id, labels: [], error: "" }) as const;
  for (let id = 0; id < 5; id += 1) ring.append(event(id));
  leave();
  ring.append(event(5));
  assert.deepEqual([ring.firstSequence, ring.nextSequence, woken], [3, 6, 5]);
  assert.deepEqual(
    [2, 3, 5].map((sequence) => ring.eventOf(sequence)),
    [undefined, event(3), event(5)],
  );
  assert.equal(ring.timeNsOf(4), 5);
});
