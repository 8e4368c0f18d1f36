import assert from "node:assert/strict";
import { test } from "node:test";
import { Table } from "@cilium-ts/state";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { openKubernetes } from "./client.ts";
import { reflectIntoTable } from "./reflect-into-table.ts";
import { resources } from "./resource.ts";
import { ScriptedServer } from "./scripted-server.ts";

interface Row {
  readonly address: string;
  readonly pod: string;
}

test("rows follow their objects: what has no row any longer goes, and what changes its key moves", async () => {
  await using server = await ScriptedServer.start();
  await using client = await openKubernetes({ server: server.url });
  const stop = new AbortController();
  const table = new Table<string, Row>({ name: "addresses", keyOf: (row) => row.address, sources: ["pods"] });
  server.put("one", { status: { podIP: "10.0.0.1" } });
  server.put("two");
  const reflecting = reflectIntoTable<string, Row>({
    client,
    resource: resources.pods,
    clock: systemClock,
    signal: stop.signal,
    table,
    source: "pods",
    rowOf(object) {
      const address = (object.status as { podIP?: string } | undefined)?.podIP;
      return address === undefined ? undefined : { address, pod: object.metadata.name ?? "" };
    },
  });
  const holds = (expected: Record<string, string>): Promise<void> =>
    eventually(() => assert.deepEqual(Object.fromEntries(Array.from(table.rows(), (row) => [row.address, row.pod])), expected));
  await table.synced;
  await holds({ "10.0.0.1": "one" });
  server.put("two", { status: { podIP: "10.0.0.2" } });
  await holds({ "10.0.0.1": "one", "10.0.0.2": "two" });
  server.put("one", { status: { podIP: "10.0.0.3" } });
  await holds({ "10.0.0.3": "one", "10.0.0.2": "two" });
  server.put("one");
  server.remove("two");
  await holds({});
  server.compact();
  server.dropConnections();
  server.put("three", { status: { podIP: "10.0.0.4" } });
  await holds({ "10.0.0.4": "three" });
  stop.abort();
  await reflecting;
});
