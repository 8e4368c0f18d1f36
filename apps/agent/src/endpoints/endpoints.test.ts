import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Labels } from "@cilium-ts/labels";
import { eventually } from "@cilium-ts/testing";
import { CniError } from "../cni/cni-request.ts";
import { allow, app, EndpointsWorld, TestEndpoints } from "./endpoints-world.ts";

const fromClients = { kind: "endpoints", selector: app("client") } as const;

test("a pod gets a device, addresses, an identity and its policy, and all of it goes with it", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "web");
  const agent = await TestEndpoints.start(world);
  const before = agent.taken();
  const row = await agent.add("web");
  assert.deepEqual([row.id, row.state, row.ipv4, row.ipv6, row.identity], [1, "ready", "10.0.1.2", "fd00::2", 256]);
  const kernelRow = agent.datapath.endpoints.read(row.id);
  assert.deepEqual([kernelRow?.identity, kernelRow?.policySet], [256, row.policySet]);
  assert.deepEqual(agent.datapath.endpoints.pinnedIds(), [1]);
  assert.deepEqual(
    agent.datapath.ipcache
      .rows()
      .map(({ prefix, identity }) => `${prefix} ${identity}`)
      .sort(),
    ["10.0.1.2/32 256", "fd00::2/128 256"],
  );
  assert.equal(await agent.endpoints.complaint(row), undefined);
  await agent.endpoints.remove(row);
  assert.deepEqual(agent.taken(), before);
  assert.deepEqual(agent.changes, ["1 - > ready", "1 ready > disconnecting", "1 disconnecting > gone"]);
});

test("policy audits where a namespace says so, from the next regeneration on", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "web");
  const agent = await TestEndpoints.start(world);
  const row = await agent.add("web");
  const auditFlag = 4; // ENDPOINT_AUDIT
  const audits = (): boolean => ((agent.datapath.endpoints.read(row.id)?.flags ?? 0) & auditFlag) !== 0;
  assert.equal(audits(), false);
  agent.audited.add(row.podNamespace);
  agent.endpoints.regenerateNamespace("elsewhere");
  assert.equal(audits(), false);
  agent.endpoints.regenerateNamespace(row.podNamespace);
  assert.equal(audits(), true);
  agent.audited.clear();
  agent.endpoints.regenerateNamespace(row.podNamespace);
  assert.equal(audits(), false);
});

for (const step of ["connect", "pod", "acquire", "write"]) {
  test(`an ADD whose ${step} fails leaves nothing, and the next one succeeds`, async () => {
    using world = new EndpointsWorld();
    world.setPod("web", "web");
    const agent = await TestEndpoints.start(world);
    const before = agent.taken();
    agent.failing.add(step);
    await assert.rejects(agent.add("web"));
    await eventually(() => assert.deepEqual(agent.taken(), before));
    assert.equal((await agent.add("web")).state, "ready");
  });
}

for (const operation of ["update", "updateBatch", "attachTcx", "pin", "openPinnedLink"] as const) {
  test(`an ADD whose first, second or later ${operation} in the kernel fails leaves nothing`, async () => {
    using world = new EndpointsWorld();
    world.setPod("web", "web");
    const agent = await TestEndpoints.start(world);
    const before = agent.taken();
    let failures = 0;
    for (let after = 0; ; after += 1) {
      agent.kernel.failNext({ operation, code: "EIO", after });
      const failure = await agent.add("web").then(
        () => undefined,
        (cause) => cause,
      );
      if (failure === undefined) break;
      failures += 1;
      assert.match(String(failure), /EIO/);
      await eventually(() => assert.deepEqual(agent.taken(), before));
    }
    assert.ok(failures > 0);
  });
}

test("what cannot be undone is said, and its number and addresses are given to nobody", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "web");
  world.setPod("db", "db");
  const agent = await TestEndpoints.start(world);
  agent.failing.add("acquire").add("disconnect");
  await assert.rejects(agent.add("web"), /identity of pod shop\/web cannot be found out/);
  assert.ok(
    agent.log.some((line) => /device lxc[0-9a-f]+ could not be taken back: disconnect fails/.test(line)),
    agent.log.join("\n"),
  );
  const row = await agent.add("db");
  assert.deepEqual([row.id, row.ipv4], [2, "10.0.1.3"]);
});

test("a node without ids or addresses says so, and may be asked again", async () => {
  using world = new EndpointsWorld();
  const ids = await TestEndpoints.start(world, { idMax: 1 });
  await ids.add("a");
  await assert.rejects(
    ids.add("b"),
    (cause: CniError) => cause instanceof CniError && cause.code === 11 && /all 1 endpoint ids/.test(cause.message),
  );
  using other = new EndpointsWorld();
  const addresses = await TestEndpoints.start(other, { ipv4Range: "10.0.1.0/30" });
  await addresses.add("a");
  const before = addresses.taken();
  await assert.rejects(
    addresses.add("b"),
    (cause: CniError) => cause.code === 11 && /pod CIDR 10\.0\.1\.0\/30 is full/.test(cause.message),
  );
  assert.deepEqual(addresses.taken(), before);
});

test("a pod that the cluster does not know has the identity init until it is known", async () => {
  using world = new EndpointsWorld();
  const agent = await TestEndpoints.start(world);
  assert.equal((await agent.add("web")).identity, 5);
  world.setPod("web", "web");
  await agent.endpoints.podChanged("shop", "web");
  assert.deepEqual([agent.row("web").identity, agent.row("web").podUid], [256, "uid-web"]);
});

test("a removal happens once, whoever asks for it at the same time", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "web");
  world.setPod("db", "db");
  const agent = await TestEndpoints.start(world, { ipv4Range: "10.0.1.0/30" });
  const row = await agent.add("web");
  const first = agent.endpoints.remove(row);
  const second = agent.endpoints.remove(row);
  await first;
  await agent.add("db"); // Takes the only address.
  await second;
  await agent.endpoints.remove(row);
  assert.equal(agent.pool.pools.ipv4.snapshot().find(({ address }) => address === "10.0.1.2")?.owner, "shop/db");
  assert.equal(agent.identities.references(256), 0);
});

test("a removal that fails half-way can be asked for again, and gives nothing away before", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "web");
  const agent = await TestEndpoints.start(world);
  const before = agent.taken();
  const row = await agent.add("web");
  agent.failing.add("disconnect");
  await assert.rejects(agent.endpoints.remove(row), /disconnect fails/);
  assert.equal(agent.pool.pools.ipv4.snapshot().find(({ address }) => address === "10.0.1.2")?.owner, "shop/web");
  assert.equal(agent.datapath.endpoints.read(row.id), undefined, "the kernel has forgotten it");
  await agent.endpoints.remove(row);
  assert.deepEqual(agent.taken(), before);
});

test("a policy change reaches those whom it concerns, and no others", async () => {
  using world = new EndpointsWorld();
  for (const name of ["web", "db", "client"]) world.setPod(name, name);
  const agent = await TestEndpoints.start(world);
  for (const name of ["web", "db", "client"]) await agent.add(name);
  const [db, client] = [agent.row("db"), agent.row("client")];
  agent.changes.length = 0;
  agent.updates.upsertPolicy("p", [allow("p", app("web"), [fromClients])]);
  agent.updates.flush();
  assert.deepEqual(agent.allowedBy("web"), [`${client.identity}:80`]);
  assert.deepEqual(agent.changes, ["1 ready > ready"]);
  assert.equal(agent.row("db"), db);
});

test("a policy that the kernel refuses leaves the former one in force, and is tried again", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "web");
  const agent = await TestEndpoints.start(world);
  const former = (await agent.add("web")).policySet;
  agent.kernel.failNext({ operation: "updateBatch", code: "E2BIG" });
  agent.updates.upsertPolicy("p", [allow("p", app("web"), [fromClients])]);
  agent.updates.flush();
  assert.equal(agent.row("web").state, "not-ready");
  assert.equal(agent.datapath.endpoints.read(1)?.policySet, former);
  assert.equal(agent.log.filter((line) => line.includes("the former one stays in force")).length, 1);
  assert.equal(agent.endpoints.retryFailed(), true);
  assert.equal(agent.row("web").state, "ready");
  assert.notEqual(agent.datapath.endpoints.read(1)?.policySet, former);
});

test("a pod that is relabelled becomes somebody else: for others first, then itself, and last its addresses", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "web");
  world.setPod("one", "stranger");
  const agent = await TestEndpoints.start(world);
  agent.updates.upsertPolicy("p", [allow("p", app("web"), [fromClients])]);
  await agent.add("web");
  const { identity: stranger } = await agent.add("one");
  world.setPod("one", "client");
  await agent.endpoints.podChanged("shop", "one");
  const { identity, ipv4 } = agent.row("one");
  assert.notEqual(identity, stranger);
  assert.deepEqual(agent.allowedBy("web"), [`${identity}:80`]);
  assert.equal(agent.datapath.endpoints.read(2)?.identity, identity);
  assert.equal(agent.datapath.ipcache.rows().find(({ prefix }) => prefix === `${ipv4}/32`)?.identity, identity);
  assert.deepEqual([agent.identities.references(stranger), agent.identities.references(identity)], [0, 1]);
});

test("a relabelling that fails keeps what was, and is made up for", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "web");
  const agent = await TestEndpoints.start(world);
  const before = await agent.add("web");
  world.setPod("web", "other");
  agent.kernel.failNext({ operation: "update", code: "EIO" });
  await assert.rejects(agent.endpoints.podChanged("shop", "web"), /new labels of pod shop\/web are not in force/);
  assert.deepEqual([agent.row("web").identity, agent.row("web").state], [before.identity, "not-ready"]);
  assert.deepEqual([agent.identities.references(256), agent.identities.references(257)], [1, 0]);
  await agent.endpoints.adoptPods();
  assert.deepEqual([agent.row("web").identity, agent.row("web").state], [257, "ready"]);
  assert.deepEqual([agent.identities.references(256), agent.identities.references(257)], [0, 1]);
});

test("labels that change while an identity is being made are not forgotten", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "a");
  const agent = await TestEndpoints.start(world);
  await agent.add("web");
  const held = Promise.withResolvers<void>();
  agent.answer = held.promise;
  world.setPod("web", "b");
  const first = agent.endpoints.podChanged("shop", "web");
  await new Promise((resolve) => setImmediate(resolve));
  world.setPod("web", "c");
  const second = agent.endpoints.podChanged("shop", "web");
  held.resolve();
  await Promise.all([first, second]);
  assert.ok(agent.row("web").labels.includes("k8s:app=c"));
  const { references } = agent.taken();
  assert.deepEqual(
    (references as number[]).reduce((sum, count) => sum + count, 0),
    1,
  );
});

test("a pod that changes while its ADD is under way is taken for what it is", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "a");
  const agent = await TestEndpoints.start(world);
  const held = Promise.withResolvers<void>();
  agent.answer = held.promise;
  const adding = agent.add("web");
  await eventually(() => assert.equal(world.devices.size, 1));
  world.setPod("web", "b");
  held.resolve();
  await adding;
  await eventually(() => assert.ok(agent.row("web").labels.includes("k8s:app=b")));
});

test("a pod that takes the name of one that is going does not change that one", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "web");
  const agent = await TestEndpoints.start(world);
  const row = await agent.add("web");
  world.setPod("web", "other", { uid: "uid-of-the-next" });
  await agent.endpoints.podChanged("shop", "web");
  assert.equal(agent.row("web"), row);
});

test("a file that cannot be written is written later", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "a");
  const agent = await TestEndpoints.start(world);
  await agent.add("web");
  world.setPod("web", "b");
  agent.failing.add("write");
  await agent.endpoints.podChanged("shop", "web");
  assert.equal(agent.row("web").state, "ready");
  assert.equal(agent.files.read().rows[0]?.labels.includes("k8s:app=b"), false);
  assert.equal(agent.endpoints.retryFailed(), true);
  assert.equal(agent.files.read().rows[0]?.labels.includes("k8s:app=b"), true);
});

test("port names of an identity are those of all its endpoints", async () => {
  using world = new EndpointsWorld();
  const ports = (port: number): object => ({ namedPorts: [{ name: "http", port, protocol: "TCP" }] });
  world.setPod("a", "web", ports(8080));
  world.setPod("b", "web", ports(9090));
  world.setPod("client", "client");
  const agent = await TestEndpoints.start(world);
  const known: string[] = [];
  const upsert = agent.engine.upsertIdentity.bind(agent.engine);
  agent.engine.upsertIdentity = (id, labels, named) => {
    if (id === 256) known.push((named ?? []).map(({ port }) => port).join());
    return upsert(id, labels, named);
  };
  await agent.add("a");
  await agent.add("b");
  agent.updates.upsertIdentity(256, agent.identities.get(256)?.labels ?? Labels.empty); // The watch brings the object.
  assert.equal(known.at(-1), "8080,9090");
  await agent.endpoints.remove(agent.row("a"));
  assert.equal(known.at(-1), "9090");
});

test("after a crash endpoints go on as they were, and nothing is attached, loaded or numbered anew", async () => {
  using world = new EndpointsWorld();
  for (const name of ["web", "client"]) world.setPod(name, name);
  const first = await TestEndpoints.start(world);
  first.updates.upsertPolicy("p", [allow("p", app("web"), [fromClients])]);
  for (const name of ["web", "client"]) await first.add(name);
  const links = [...world.machine.links].map(({ id, programId }) => `${id} ${programId}`);
  const sets = ["web", "client"].map((name) => first.row(name).policySet);
  const allowed = first.allowedBy("web");
  first.realised.sweep();
  first.kill();

  const second = new TestEndpoints(world);
  for (const name of ["web", "client"])
    await second.identities.acquire(world.pods.get(`shop/${name}`)?.labels ?? Labels.empty, second.stop.signal);
  await second.endpoints.restore();
  assert.deepEqual([second.row("web").state, second.row("web").policySet], ["restoring", sets[0]]);
  second.updates.upsertPolicy("p", [allow("p", app("web"), [fromClients])]);
  await second.endpoints.podChanged("shop", "web");
  assert.equal(second.row("web").state, "restoring", "its pod is looked at only when all policies are known");
  second.updates.open(() => assert.equal(second.endpoints.enforceRestored(), true));
  assert.equal(second.datapath.policySets.prune(), 0);
  assert.deepEqual(
    ["web", "client"].map((name) => second.row(name).policySet),
    sets,
  );
  assert.deepEqual(
    [...world.machine.links].map(({ id, programId }) => `${id} ${programId}`),
    links,
  );
  assert.deepEqual(second.allowedBy("web"), allowed);
  assert.equal((await second.add("third")).id, 3, "numbers and addresses in use are known");
});

test("what has no device any more is not restored, and what others have by now is left to them", async () => {
  using world = new EndpointsWorld();
  for (const name of ["a", "b"]) world.setPod(name, name);
  const first = await TestEndpoints.start(world);
  const [a, b] = [await first.add("a"), await first.add("b")];
  first.kill();
  // The first pod's device went while no agent was there, and its index went to another device.
  world.devices.delete(a.hostDeviceName);
  writeFileSync(
    join(world.directory, "1/endpoint.json"),
    JSON.stringify({ ...JSON.parse(readText(join(world.directory, "1/endpoint.json"))), ifindex: b.ifindex }),
  );
  const second = await TestEndpoints.start(world);
  assert.deepEqual(
    [...second.endpoints.index.rows()].map(({ podName }) => podName),
    ["b"],
  );
  assert.equal(second.datapath.maps.endpoint_devices.lookup(u32(b.ifindex)) === undefined, false);
  assert.deepEqual(second.datapath.endpoints.pinnedIds(), [2]);
  assert.equal(second.datapath.endpoints.read(1), undefined);
  assert.equal(second.changes[1], "1 ready > gone", "whoever showed it to the cluster takes it back");
});

test("an endpoint of which one file is damaged goes on; one of which both are is cut off, as it would be open otherwise", async () => {
  using world = new EndpointsWorld();
  for (const name of ["a", "b"]) world.setPod(name, name);
  const first = await TestEndpoints.start(world);
  const [a, b] = [await first.add("a"), await first.add("b")];
  first.kill();
  const file = (id: number, name: string): string => join(world.directory, String(id), name);
  writeFileSync(file(a.id, "endpoint.json"), "{");
  for (const name of ["endpoint.json", "endpoint.copy.json"]) writeFileSync(file(b.id, name), "{");
  const second = await TestEndpoints.start(world);
  assert.deepEqual([second.row("a").state, second.row("a").ipv4], ["ready", a.ipv4]);
  assert.equal(readText(file(a.id, "endpoint.json")), readText(file(a.id, "endpoint.copy.json")), "the damage is mended");
  assert.deepEqual([...world.devices.keys()], [a.hostDeviceName]);
  assert.deepEqual([second.datapath.endpoints.read(b.id), second.datapath.endpoints.pinnedIds()], [undefined, [a.id]]);
  assert.ok(second.log.some((line) => /its pod is cut off; delete the pod: .*\/2\/endpoint\.json: is not JSON/.test(line)));
});

test("a restored endpoint that cannot get its policy keeps the former one until it can", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "web");
  const first = await TestEndpoints.start(world);
  const { policySet } = await first.add("web");
  first.kill();
  const second = new TestEndpoints(world);
  await second.endpoints.restore();
  second.updates.upsertPolicy("p", [allow("p", app("web"), [fromClients])]);
  second.kernel.failNext({ operation: "updateBatch", code: "ENOMEM" });
  let all = true;
  second.updates.open(() => {
    all = second.endpoints.enforceRestored();
  });
  assert.equal(all, false);
  assert.equal(second.datapath.endpoints.read(1)?.policySet, policySet);
  assert.equal(second.endpoints.retryFailed(), true);
  assert.equal(second.row("web").state, "ready");
  assert.equal(second.datapath.policySets.prune(), 1);
});

test("links that fail after the row was written are made at the next attempt, and the row's set stays", async () => {
  using world = new EndpointsWorld();
  world.setPod("web", "web");
  const first = await TestEndpoints.start(world);
  await first.add("web");
  first.kill();
  world.machine.unpin("/bpf/links/1");
  const second = new TestEndpoints(world);
  await second.endpoints.restore();
  second.updates.upsertPolicy("p", [allow("p", app("web"), [])]);
  second.kernel.failNext({ operation: "attachTcx", code: "EBUSY" });
  second.updates.open(() => assert.equal(second.endpoints.enforceRestored(), false));
  const set = second.datapath.endpoints.read(1)?.policySet;
  second.realised.sweep();
  second.datapath.policySets.prune();
  assert.equal(second.endpoints.retryFailed(), true);
  assert.equal(second.datapath.endpoints.read(1)?.policySet, set);
  assert.equal(world.machine.links.size, 2);
});

function readText(path: string): string {
  return readFileSync(path, "utf8");
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}
