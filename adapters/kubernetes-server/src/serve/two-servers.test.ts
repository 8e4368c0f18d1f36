import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { listAt, textAt, valueAt } from "../resources/column.ts";
import { parseServiceRanges } from "../resources/service-range.ts";
import { openEtcdStore } from "../store/etcd/etcd-store.ts";
import { type EtcdCluster, startEtcd } from "../testing/etcd-process.ts";
import { createTestClient } from "../testing/test-client.ts";
import { startTestServer } from "../testing/test-server.ts";

// Two servers in one process, on one etcd.

let etcd: EtcdCluster;
before(async () => {
  etcd = await startEtcd();
});
after(() => etcd[Symbol.asyncDispose]());

let count = 0;
async function openTwo() {
  count += 1;
  const prefix = `/pair-${count}`;
  const parsed = parseServiceRanges("10.9.0.0/26");
  const serviceRanges = parsed.outcome === "parsed" ? parsed.ranges : [];
  await using opened = new AsyncDisposableStack();
  const openOne = async () => {
    const store = opened.use(
      await openEtcdStore({ endpoints: etcd.endpoints, prefix, compactAfterMs: 0, onLost: (error) => assert.fail(error) }),
    );
    const server = opened.use(await startTestServer({ store, definitions: [], serviceRanges }));
    return { server, client: createTestClient(server.url) };
  };
  const [one, two] = [await openOne(), await openOne()];
  const kept = opened.move();
  return { one, two, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const maps = "/api/v1/namespaces/default/configmaps";

test("patches of one object through two servers at once are all kept", async () => {
  await using pair = await openTwo();
  const { one, two } = pair;
  await one.client.post(maps, { metadata: { name: "a" } });
  const patches = Array.from({ length: 12 }, (_, index) => {
    const { client } = index % 2 === 0 ? one : two;
    return client.patch(`${maps}/a`, "merge", { data: { [`k${index}`]: "x" } });
  });
  const codes = (await Promise.all(patches)).map(({ code }) => code);
  const { body } = await two.client.get(`${maps}/a`);
  const kept = Object.keys(valueAt(body, "data") ?? {});
  assert.equal(kept.length, codes.filter((code) => code === 200).length, codes.join(" "));
  assert.ok(kept.length >= 6, codes.join(" "));
});

test("a change through one server is read, listed and watched through the other", async () => {
  await using pair = await openTwo();
  const { one, two } = pair;
  const events = two.client.watch(`${maps}?watch=true&resourceVersion=0`);
  const made = await one.client.post(maps, { metadata: { name: "a" } });
  assert.deepEqual((await two.client.get(`${maps}/a`)).body, made.body);
  const { body } = await two.client.get(maps);
  assert.equal(listAt(body, "items").length, 1);
  const stale = await two.client.put(`${maps}/a`, { metadata: { name: "a", resourceVersion: "1" } });
  assert.equal(stale.code, 409);
  const first = await events.next();
  await one.client.delete(`${maps}/a`);
  assert.equal((await two.client.get(`${maps}/a`)).code, 404);
  const seen = [first, await events.next()].map(({ value }) => `${value?.type} ${textAt(value?.object, "metadata", "name")}`);
  assert.deepEqual(seen, ["ADDED a", "DELETED a"]);
  await events.return(undefined);
});

test("no address is given to two services, whichever servers they come through, and each comes back", async () => {
  await using pair = await openTwo();
  const { one, two } = pair;
  const services = "/api/v1/namespaces/default/services";
  const create = (index: number) =>
    (index % 2 === 0 ? one : two).client.post(services, { metadata: { name: `s${index}` }, spec: { ports: [{ port: 80 }] } });
  const made = await Promise.all(Array.from({ length: 40 }, (_, index) => create(index)));
  const addresses = made.filter(({ code }) => code === 201).map(({ body }) => textAt(body, "spec", "clusterIP"));
  assert.equal(new Set(addresses).size, addresses.length, addresses.join(" "));
  assert.ok(addresses.length > 30, made.map(({ code, body }) => `${code} ${String(body.message ?? "")}`).join("\n"));
  const [first = ""] = addresses;
  const taken = await two.client.post(services, { metadata: { name: "taken" }, spec: { clusterIP: first, ports: [{ port: 80 }] } });
  assert.match(String(taken.body.message), /already allocated/);
  await two.client.delete(`${services}/${textAt(made.find(({ code }) => code === 201)?.body, "metadata", "name")}`);
  await eventually(async () => {
    const again = await one.client.post(services, { metadata: { name: "again" }, spec: { clusterIP: first, ports: [{ port: 80 }] } });
    assert.equal(again.code, 201, String(again.body.message));
  });
  assert.deepEqual([one.server.errors, two.server.errors], [[], []]);
});
