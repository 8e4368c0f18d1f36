import assert from "node:assert/strict";
import { test } from "node:test";
import { openKubernetes, resources, schemaVersionLabel, textAt } from "@cilium-ts/kubernetes";
import { eventually } from "@cilium-ts/testing";
import { type RunningOperator, TestCluster } from "./test-cluster.ts";

const { customResourceDefinitions: definitions, ciliumIdentities: identities, ciliumNodes, leases } = resources;
const lease = { namespace: "kube-system", name: "cilium-operator-resource-lock" };

async function holder(cluster: TestCluster): Promise<string> {
  return textAt((await cluster.get(leases, lease))?.spec, "holderIdentity");
}

function leads(operator: RunningOperator): boolean {
  return operator.lines.findLast((line) => /^this operator/.test(line)) === "this operator leads";
}

test("on an empty server the definitions are registered before anything else is done", async () => {
  await using cluster = await TestCluster.start({ definitions: false });
  cluster.startOperator({ "skip-crd-creation": "false" });
  await eventually(async () => assert.equal((await cluster.list(definitions)).length, 21));
  for (const { metadata } of await cluster.list(definitions)) assert.equal(metadata.labels?.[schemaVersionLabel], "1.0.0");
  await eventually(() => cluster.create(ciliumNodes, { metadata: { name: "a" }, spec: {} }));
  await cluster.becomes(ciliumNodes, { name: "a" }, (object) => assert.match(JSON.stringify(object?.spec), /10\.0\.0\.0\/24/));
});

test("definitions that are newer than ours are left alone, and that is said", async () => {
  await using cluster = await TestCluster.start();
  const name = { name: "ciliumnodes.cilium.io" };
  await cluster.patch(definitions, name, { metadata: { labels: { [schemaVersionLabel]: "99.0.0" } } });
  const operator = cluster.startOperator({ "skip-crd-creation": "false" });
  await eventually(() =>
    assert.ok(operator.lines.includes(`the CustomResourceDefinition ${name.name} is newer than ours, and was left as it is`)),
  );
  assert.equal((await cluster.get(definitions, name))?.metadata.labels?.[schemaVersionLabel], "99.0.0");
});

test("of two operators one leads; when it stops the other leads at once; the one that leads does the work", async () => {
  await using cluster = await TestCluster.start();
  const one = cluster.startOperator();
  await eventually(() => assert.ok(leads(one)));
  const other = cluster.startOperator();
  await eventually(() => assert.ok(other.lines.includes("this operator follows operator-1")));
  await one[Symbol.asyncDispose]();
  await eventually(() => assert.ok(leads(other)));
  assert.equal(await holder(cluster), "operator-2");
  await cluster.create(ciliumNodes, { metadata: { name: "a" }, spec: {} });
  await eventually(() => assert.ok(other.lines.some((line) => line.startsWith("node a has the pod CIDRs"))));
});

test("a leader whose lease is taken steps down, follows, and leads again when it may, without being started anew", async () => {
  await using cluster = await TestCluster.start();
  const operator = cluster.startOperator();
  await eventually(() => assert.ok(leads(operator)));
  await cluster.patch(leases, lease, { spec: { holderIdentity: "thief", leaseDurationSeconds: 1 } });
  await eventually(() => assert.ok(operator.lines.includes("this operator no longer leads: thief has taken the lease over")));
  await eventually(() => assert.ok(operator.lines.includes("this operator follows thief")));
  await eventually(() => assert.ok(leads(operator)));
  await cluster.create(ciliumNodes, { metadata: { name: "a" }, spec: {} });
  await eventually(() => assert.ok(operator.lines.some((line) => line.startsWith("node a has the pod CIDRs"))));
});

test("a process that was stopped as a whole for longer than its lease gives nothing when it goes on", async () => {
  await using cluster = await TestCluster.start();
  let pausedMs = 0;
  const operator = cluster.startOperator({}, { monotonicMs: () => performance.now() + pausedMs });
  await eventually(() => assert.ok(leads(operator)));
  pausedMs = 60_000;
  await cluster.create(ciliumNodes, { metadata: { name: "a" }, spec: {} });
  await eventually(() =>
    assert.ok(operator.lines.some((line) => line.startsWith("this operator no longer leads: the lease could not be renewed"))),
  );
  const atStepDown = operator.lines.findIndex((line) => line.startsWith("this operator no longer leads"));
  assert.ok(!operator.lines.slice(0, atStepDown).some((line) => line.startsWith("node a has")), operator.lines.join("\n"));
  await eventually(() => assert.ok(operator.lines.slice(atStepDown).some((line) => line.startsWith("node a has"))));
});

test("when the API server goes away the leader steps down, removes nothing, and goes on when the server is back", async () => {
  await using cluster = await TestCluster.start();
  await cluster.create(identities, { metadata: { name: "300" }, "security-labels": { "k8s:app": "web" } });
  await cluster.create(ciliumNodes, { metadata: { name: "a" }, spec: {} });
  const operator = cluster.startOperator({ "identity-gc-interval": "100ms", "identity-heartbeat-timeout": "1h" });
  await eventually(() => assert.ok(leads(operator)));
  await cluster.outage(async () => {
    await eventually(() => assert.ok(operator.lines.includes("this operator no longer leads: the lease could not be renewed for 800 ms")));
    await eventually(() => assert.match(operator.lines.at(-1) ?? "", /^the lease cannot be read or written: .*cannot be reached/));
  });
  await eventually(() => assert.ok(leads(operator)));
  await eventually(() => cluster.create(ciliumNodes, { metadata: { name: "b" }, spec: {} }));
  await eventually(() => assert.ok(operator.lines.some((line) => line.startsWith("node b has the pod CIDRs"))));
  assert.equal((await cluster.list(identities)).length, 1);
});

test("a server that was never there is waited for, and the wait can be ended", async () => {
  await using cluster = await TestCluster.start();
  const operator = cluster.startOperator({}, { openClient: () => openKubernetes({ server: "http://127.0.0.1:1" }) });
  await eventually(() => assert.ok(operator.lines.some((line) => line.startsWith("the lease cannot be read or written: "))));
  await operator[Symbol.asyncDispose]();
});
