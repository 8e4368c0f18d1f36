import assert from "node:assert/strict";
import { test } from "node:test";
import { ciliumIdentityFrom, ciliumIdentityObject, type KubernetesClient, openKubernetes, resources } from "@cilium-ts/kubernetes";
import { startTestServer } from "@cilium-ts/kubernetes-server/testing";
import { Labels } from "@cilium-ts/labels";
import { eventually } from "@cilium-ts/testing";
import { CustomResourceIdentities } from "./custom-resource-identities.ts";
import { IdentitiesInUse } from "./identities-in-use.ts";

const { signal } = new AbortController();
const web = Labels.parse(["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"]);
const db = Labels.parse(["k8s:app=db", "k8s:io.kubernetes.pod.namespace=shop"]);
const known = async (): Promise<void> => {};

/** Our own API server, and clients of it. */
async function withServer(body: (open: () => Promise<KubernetesClient>) => Promise<void>): Promise<void> {
  await using server = await startTestServer();
  await using clients = new AsyncDisposableStack();
  await body(async () => clients.use(await openKubernetes({ server: server.url })));
  assert.deepEqual(server.errors, []);
}

async function objects(client: KubernetesClient): Promise<string[]> {
  const { items } = await client.list(resources.ciliumIdentities, { signal });
  return items.map((item) => ciliumIdentityFrom(item)?.labels.key ?? "").sort();
}

test("two agents that race for the same labels get one number, and make one object", async () => {
  await withServer(async (open) => {
    const client = await open();
    const agents = await Promise.all([open(), open(), open()]);
    const found = await Promise.all(
      agents.flatMap((agent) => {
        const identities = new CustomResourceIdentities(agent, known);
        return [identities.acquire(web, signal), identities.acquire(web, signal), identities.acquire(db, signal)];
      }),
    );
    const numbers = (key: string): number[] => [...new Set(found.filter(({ labels }) => labels.key === key).map(({ id }) => id))];
    assert.deepEqual([numbers(web.key).length, numbers(db.key).length], [1, 1]);
    assert.deepEqual(await objects(client), [db.key, web.key].sort());
  });
});

test("a number that other labels have is left to them", async () => {
  await withServer(async (open) => {
    const client = await open();
    const { id: first } = await new CustomResourceIdentities(client, known).acquire(web, signal);
    await client.delete(resources.ciliumIdentities, { name: String(first) }, { signal });
    await client.create(resources.ciliumIdentities, ciliumIdentityObject({ id: first, labels: db }), { signal });
    const identities = new CustomResourceIdentities(await open(), known);
    const second = await identities.acquire(web, signal);
    assert.notEqual(second.id, first);
    assert.equal(identities.get(first)?.labels.key, db.key);
    assert.deepEqual(await identities.acquire(db, signal), { id: first, labels: identities.get(first)?.labels });
  });
});

test("where labels have several numbers everybody takes the least", async () => {
  const client = {} as KubernetesClient; // Nobody is asked.
  const identities = new CustomResourceIdentities(client, known);
  for (const id of [700, 300, 500]) identities.upsert({ id, labels: web });
  assert.equal((await identities.acquire(web, signal)).id, 300);
  identities.remove(300);
  identities.upsert({ id: 500, labels: db });
  assert.equal((await identities.acquire(web, signal)).id, 700);
});

test("nothing is made before the existing objects are known, and a stop ends the wait", async () => {
  const stop = new AbortController();
  const identities = new CustomResourceIdentities({} as KubernetesClient, () => new Promise(() => {}));
  const acquiring = identities.acquire(web, stop.signal);
  stop.abort(new Error("stopped"));
  await assert.rejects(acquiring, /stopped/);
});

test("a failure of the server is the caller's, and the next one asks anew", async () => {
  await withServer(async (open) => {
    const client = await open();
    let failures = 1;
    const unreliable: Pick<KubernetesClient, "create" | "get"> = {
      get: (...args) => client.get(...args),
      create: (...args) => {
        failures -= 1;
        return failures >= 0 ? Promise.reject(new Error("the server is away")) : client.create(...args);
      },
    };
    const identities = new CustomResourceIdentities(unreliable as KubernetesClient, known);
    const both = await Promise.allSettled([identities.acquire(web, signal), identities.acquire(web, signal)]);
    assert.deepEqual(
      both.map(({ status }) => status),
      ["rejected", "rejected"],
    );
    assert.ok((await identities.acquire(web, signal)).id >= 256);
  });
});

test("an object that is deleted while its identity is in use here is made again, under its number", async () => {
  await withServer(async (open) => {
    const client = await open();
    const identities = new CustomResourceIdentities(client, known);
    const { id } = await identities.acquire(web, signal);
    const said: string[] = [];
    const line = (message: string): void => void said.push(message);
    const inUse = new Map([[id, web]]);
    const kept = new IdentitiesInUse({ identities, signal, log: { error: line, warn: line, info: line, debug: line }, inUse: () => inUse });
    await client.delete(resources.ciliumIdentities, { name: String(id) }, { signal });
    identities.remove(id);
    assert.equal(kept.keep(id), true);
    await eventually(async () => assert.deepEqual(await objects(client), [web.key]));
    assert.equal(kept.keep(id + 1), false, "nobody here has it");

    await client.delete(resources.ciliumIdentities, { name: String(id) }, { signal });
    identities.remove(id);
    await client.create(resources.ciliumIdentities, ciliumIdentityObject({ id, labels: db }), { signal });
    await kept.ensureAll();
    await kept.ensureAll();
    assert.deepEqual(said.length, 1);
    assert.match(said[0] ?? "", /has been given to other labels/);
  });
});

test("an identity that we made and whose object went before any watch showed it is made again after the next listing", async () => {
  await withServer(async (open) => {
    const client = await open();
    const identities = new CustomResourceIdentities(client, known);
    const { id } = await identities.acquire(web, signal);
    const seen = await identities.acquire(db, signal);
    identities.upsert(seen);
    await client.delete(resources.ciliumIdentities, { name: String(id) }, { signal });
    identities.listed();
    assert.equal(identities.get(id), undefined);
    assert.deepEqual(identities.get(seen.id), seen);
    await identities.ensure({ id, labels: web }, signal);
    assert.deepEqual(await objects(client), [db.key, web.key].sort());
  });
});
