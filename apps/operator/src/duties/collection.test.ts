import assert from "node:assert/strict";
import { test } from "node:test";
import { type KubernetesObject, resources } from "@cilium-ts/kubernetes";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { TestCluster } from "../test-cluster.ts";

const { ciliumEndpoints, ciliumIdentities, ciliumNodes, nodes, pods } = resources;
const heartbeat = "io.cilium.heartbeat";

function identity(id: number, annotations?: Readonly<Record<string, string>>): KubernetesObject {
  return {
    metadata: { name: String(id), ...(annotations !== undefined && { annotations }) },
    "security-labels": { "k8s:app": `app-${id}` },
  };
}

function endpoint(name: string, id: number): KubernetesObject {
  return { metadata: { namespace: "default", name }, status: { id: 7, identity: { id, labels: [] }, networking: { addressing: [] } } };
}

function pod(name: string): KubernetesObject {
  return { metadata: { namespace: "default", name }, spec: { containers: [{ name: "main", image: "none" }] } };
}

async function names(cluster: TestCluster, resource: typeof pods | typeof ciliumNodes): Promise<string[]> {
  return (await cluster.list(resource)).map(({ metadata }) => metadata.name ?? "").sort();
}

/** Time runs a thousand times as fast as on the wall: a second is what a quarter of an hour would be. */
const hurried = {
  clock: { nowMs: systemClock.nowMs, sleep: (delayMs: number, signal: AbortSignal) => systemClock.sleep(delayMs / 1000, signal) },
  monotonicMs: () => performance.now() * 1000,
};
/** The election, which has no part in this, keeps its pace. */
const slowElection = {
  "leader-election-lease-duration": "900s",
  "leader-election-renew-deadline": "800s",
  "leader-election-retry-period": "50s",
};

test("an identity that no endpoint has is marked, and deleted after its grace; used ones stay, and a mark is taken back", async () => {
  await using cluster = await TestCluster.start();
  for (const id of [300, 301]) await cluster.create(ciliumIdentities, identity(id));
  await cluster.create(ciliumIdentities, identity(302, { [heartbeat]: "2020-01-01T00:00:00Z" }));
  await cluster.create(ciliumEndpoints, endpoint("web", 300));
  await cluster.create(ciliumEndpoints, endpoint("db", 302));
  const operator = cluster.startOperator(
    { ...slowElection, "identity-gc-interval": "5m0s", "identity-heartbeat-timeout": "15m0s" },
    hurried,
  );
  await cluster.becomes(ciliumIdentities, { name: "301" }, (object) => assert.ok(object?.metadata.annotations?.[heartbeat] !== undefined));
  await cluster.becomes(ciliumIdentities, { name: "302" }, (object) => assert.equal(object?.metadata.annotations?.[heartbeat], undefined));
  await cluster.becomes(ciliumIdentities, { name: "301" }, (object) => assert.equal(object, undefined));
  const rest = await cluster.list(ciliumIdentities);
  assert.deepEqual(
    rest.map(({ metadata }) => [metadata.name, metadata.annotations?.[heartbeat]]),
    [
      ["300", undefined],
      ["302", undefined],
    ],
  );
  assert.ok(
    operator.lines.some((line) => /1 were marked as unused, 1 are used again, 0 were deleted/.test(line)),
    operator.lines.join("\n"),
  );
});

test("an identity that comes into use during its grace is not deleted", async () => {
  await using cluster = await TestCluster.start();
  await cluster.create(ciliumIdentities, identity(300));
  await cluster.create(ciliumIdentities, identity(301));
  cluster.startOperator({ ...slowElection, "identity-gc-interval": "5m0s", "identity-heartbeat-timeout": "15m0s" }, hurried);
  await cluster.becomes(ciliumIdentities, { name: "300" }, (object) => assert.ok(object?.metadata.annotations?.[heartbeat] !== undefined));
  await cluster.create(ciliumEndpoints, endpoint("web", 300));
  await cluster.becomes(ciliumIdentities, { name: "301" }, (object) => assert.equal(object, undefined));
  await cluster.becomes(ciliumIdentities, { name: "300" }, (object) => assert.equal(object?.metadata.annotations?.[heartbeat], undefined));
});

test("endpoints without a pod are deleted, those with one stay", async () => {
  await using cluster = await TestCluster.start();
  await cluster.create(pods, pod("web"));
  for (const name of ["web", "gone-1", "gone-2"]) await cluster.create(ciliumEndpoints, endpoint(name, 300));
  const operator = cluster.startOperator({ "cilium-endpoint-gc-interval": "200ms" });
  await eventually(async () => assert.deepEqual(await names(cluster, ciliumEndpoints), ["web"]));
  await eventually(() => assert.ok(operator.lines.includes("2 CiliumEndpoints without pods were deleted")));
  await cluster.delete(pods, { namespace: "default", name: "web" });
  await eventually(async () => assert.deepEqual(await names(cluster, ciliumEndpoints), []));
});

test("CiliumNodes without a Node are deleted after a whole interval, unless they are kept or the Node comes back", async () => {
  await using cluster = await TestCluster.start();
  for (const name of ["here", "gone", "external", "returns"]) {
    const annotations: Record<string, string> = name === "external" ? { "cilium.io/do-not-gc": "true" } : {};
    await cluster.create(ciliumNodes, { metadata: { name, annotations }, spec: {} });
  }
  await cluster.create(nodes, { metadata: { name: "here" } });
  const operator = cluster.startOperator({ "nodes-gc-interval": "500ms" });
  await eventually(() => assert.ok(operator.lines.includes("this operator leads")));
  await cluster.create(nodes, { metadata: { name: "returns" } });
  await eventually(async () => assert.deepEqual(await names(cluster, ciliumNodes), ["external", "here", "returns"]));
});
