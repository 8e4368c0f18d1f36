import assert from "node:assert/strict";
import { test } from "node:test";
import { listAt, textAt } from "../resources/column.ts";
import { createMemoryStore } from "../testing/memory-store.ts";
import { createTestClient } from "../testing/test-client.ts";
import { startTestServer } from "../testing/test-server.ts";
import { deleteOldEvents, eventLifeMs } from "./event-expiry.ts";
import { Objects } from "./objects.ts";

test("events go an hour after they were last seen", async () => {
  const nowMs = Date.parse("2026-05-01T12:00:00Z");
  await using store = createMemoryStore();
  await using server = await startTestServer({ store, definitions: [], nowMs: () => nowMs });
  const client = createTestClient(server.url);
  const event = (name: string, lastTimestamp: string) => ({
    metadata: { name },
    involvedObject: { kind: "Pod", name: "web" },
    lastTimestamp,
  });
  const path = "/api/v1/namespaces/default/events";
  for (const [name, time] of [
    ["old", "2026-05-01T12:00:10Z"],
    ["young", "2026-05-01T12:30:00Z"],
  ] as const) {
    assert.equal((await client.post(path, event(name, time))).code, 201);
  }
  const deleted = await deleteOldEvents(store, new Objects(store, {}, () => nowMs), Date.parse("2026-05-01T13:10:00Z") - eventLifeMs);
  assert.equal(deleted, 1);
  const { body } = await client.get(path);
  assert.deepEqual(
    listAt(body, "items").map((item) => textAt(item, "metadata", "name")),
    ["young"],
  );
});
