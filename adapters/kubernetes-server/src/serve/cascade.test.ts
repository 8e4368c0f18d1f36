import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { listAt, textAt, valueAt } from "../resources/column.ts";
import type { Mutable } from "../schema/schema.ts";
import { createTestClient } from "../testing/test-client.ts";
import { startTestServer } from "../testing/test-server.ts";

const maps = "/api/v1/namespaces/default/configmaps";

async function open() {
  const server = await startTestServer({ definitions: [] });
  const client = createTestClient(server.url);
  return {
    server,
    client,
    names: async () => listAt((await client.get(maps)).body, "items").map((item) => textAt(item, "metadata", "name")),
    /** Makes an object and returns the reference by which others name it as their owner. */
    async make(name: string, metadata: Mutable = {}): Promise<Mutable> {
      const { body, code } = await client.post(maps, { metadata: { name, ...metadata } });
      assert.equal(code, 201, JSON.stringify(body));
      return { apiVersion: "v1", kind: "ConfigMap", name, uid: textAt(body, "metadata", "uid"), blockOwnerDeletion: true };
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

test("in the foreground an owner goes only after the dependents that block it, and theirs", async () => {
  await using running = await open();
  const { client, make, names } = running;
  const owner = await make("a-owner");
  const middle = await make("b-middle", { ownerReferences: [owner] });
  await make("c-leaf", { ownerReferences: [middle], finalizers: ["example.com/hold"] });
  const { body: marked } = await client.delete(`${maps}/a-owner`, { propagationPolicy: "Foreground" });
  assert.deepEqual(valueAt(marked, "metadata", "finalizers"), ["foregroundDeletion"]);
  await eventually(async () => {
    const { body } = await client.get(`${maps}/c-leaf`);
    assert.match(textAt(body, "metadata", "deletionTimestamp"), /^\d{4}/);
  });
  assert.deepEqual(await names(), ["a-owner", "b-middle", "c-leaf"]);
  await client.patch(`${maps}/c-leaf`, "merge", { metadata: { finalizers: null } });
  await eventually(async () => assert.deepEqual(await names(), []));
  assert.deepEqual(running.server.errors, []);
});

test("in the foreground a dependent that blocks nothing does not hold its owner up", async () => {
  await using running = await open();
  const { client, make, names } = running;
  const owner = await make("owner");
  await make("held", { ownerReferences: [{ ...owner, blockOwnerDeletion: false }], finalizers: ["example.com/hold"] });
  await client.delete(`${maps}/owner?propagationPolicy=Foreground`);
  await eventually(async () => assert.deepEqual(await names(), ["held"]));
  const { body } = await client.get(`${maps}/held`);
  assert.match(textAt(body, "metadata", "deletionTimestamp"), /^\d{4}/);
});

test("a dependent with another owner outlives the one that goes, and forgets it", async () => {
  await using running = await open();
  const { client, make, names } = running;
  const [one, two] = [await make("one"), await make("two")];
  await make("of-both", { ownerReferences: [one, two] });
  await client.delete(`${maps}/one?propagationPolicy=Foreground`);
  await eventually(async () => assert.deepEqual(await names(), ["of-both", "two"]));
  const { body } = await client.get(`${maps}/of-both`);
  assert.deepEqual(
    listAt(body, "metadata", "ownerReferences").map(({ name }) => name),
    ["two"],
  );
});

test("orphans are let go before their owner goes, and live on", async () => {
  await using running = await open();
  const { client, make, names } = running;
  const owner = await make("owner");
  await make("child", { ownerReferences: [owner] });
  await client.delete(`${maps}/owner`, { orphanDependents: true });
  await eventually(async () => assert.deepEqual(await names(), ["child"]));
  assert.equal(valueAt((await client.get(`${maps}/child`)).body, "metadata", "ownerReferences", "0"), undefined);
});

test("an object whose owner never was goes too", async () => {
  await using running = await open();
  const { make, names } = running;
  const owner = await make("real");
  await make("child", { ownerReferences: [{ ...owner, uid: "00000000-0000-0000-0000-000000000000" }] });
  await eventually(async () => assert.deepEqual(await names(), ["real"]));
});

test("a dry run of a deletion changes nothing, whatever becomes of dependents", async () => {
  await using running = await open();
  const { client, make, names } = running;
  await make("owner");
  for (const policy of ["Orphan", "Background", "Foreground"]) {
    assert.equal((await client.delete(`${maps}/owner?dryRun=All&propagationPolicy=${policy}`)).code, 200);
  }
  assert.deepEqual(await names(), ["owner"]);
  const { body } = await client.get(`${maps}/owner`);
  assert.equal(valueAt(body, "metadata", "deletionTimestamp"), undefined);
});
