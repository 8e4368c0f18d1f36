import assert from "node:assert/strict";
import { test } from "node:test";
import { listAt, recordAt, resources, textAt } from "@cilium-ts/kubernetes";
import { eventually } from "@cilium-ts/testing";
import { TestCluster } from "../test-cluster.ts";

const { ciliumNodes, nodes, pods } = resources;
const taint = { key: "node.cilium.io/agent-not-ready", effect: "NoSchedule", value: "true" };
const otherTaint = { key: "example.com/other", effect: "NoExecute" };
const settings = { "remove-cilium-node-taints": "true", "set-cilium-is-up-condition": "true", ipam: "kubernetes" };
const internal = { type: "CiliumInternalIP", ip: "10.0.0.1" };

interface NodeState {
  readonly taints: readonly string[];
  readonly up: string;
  readonly otherConditions: readonly string[];
}

async function stateOf(cluster: TestCluster, name: string): Promise<NodeState> {
  const object = await cluster.get(nodes, { name });
  const conditions = listAt(recordAt(object, "status"), "conditions");
  const up = conditions.find((condition) => textAt(condition, "type") === "NetworkUnavailable");
  return {
    taints: listAt(recordAt(object, "spec"), "taints").map((found) => textAt(found, "key")),
    up: up === undefined ? "" : `${textAt(up, "status")} ${textAt(up, "reason")}`,
    otherConditions: conditions.map((condition) => textAt(condition, "type")).filter((type) => type !== "NetworkUnavailable"),
  };
}

async function createNode(cluster: TestCluster, name: string, bootID: string, conditions: readonly object[]): Promise<void> {
  const status = { nodeInfo: { bootID }, conditions };
  await cluster.create(nodes, { metadata: { name }, spec: { taints: [taint, otherTaint, { ...taint, effect: "NoExecute" }] }, status });
}

const tainted: NodeState = { taints: [taint.key, otherTaint.key, taint.key], up: "", otherConditions: [] };
const ready: NodeState = { taints: [otherTaint.key], up: "False CiliumIsUp", otherConditions: [] };

test("a node is opened to pods once its agent has set it up in this very boot", async () => {
  await using cluster = await TestCluster.start();
  for (const name of ["fresh", "rebooted", "unfinished", "alone"]) await createNode(cluster, name, "boot-2", []);
  await cluster.create(ciliumNodes, { metadata: { name: "fresh" }, spec: { bootid: "boot-2", addresses: [internal] } });
  await cluster.create(ciliumNodes, { metadata: { name: "rebooted" }, spec: { bootid: "boot-1", addresses: [internal] } });
  await cluster.create(ciliumNodes, { metadata: { name: "unfinished" }, spec: { bootid: "boot-2" } });
  cluster.startOperator(settings);
  await eventually(async () => assert.deepEqual(await stateOf(cluster, "fresh"), ready));
  for (const name of ["rebooted", "unfinished", "alone"]) assert.deepEqual(await stateOf(cluster, name), tainted, name);
  await cluster.patch(ciliumNodes, { name: "rebooted" }, { spec: { bootid: "boot-2" } });
  await cluster.patch(ciliumNodes, { name: "unfinished" }, { spec: { addresses: [internal] } });
  for (const name of ["rebooted", "unfinished"]) await eventually(async () => assert.deepEqual(await stateOf(cluster, name), ready, name));
  assert.deepEqual(await stateOf(cluster, "alone"), tainted);
});

test("where agents are pods, their readiness decides", async () => {
  await using cluster = await TestCluster.start();
  await createNode(cluster, "n", "b", []);
  await cluster.create(ciliumNodes, { metadata: { name: "n" }, spec: { bootid: "b", addresses: [internal] } });
  const name = { namespace: "kube-system", name: "cilium-1" };
  const spec = { nodeName: "n", containers: [{ name: "agent", image: "none" }] };
  await cluster.create(pods, { metadata: { ...name, labels: { "k8s-app": "cilium" } }, spec });
  const running = cluster.startOperator(settings);
  await eventually(async () => assert.ok(running.lines.some((line) => line.includes("leads"))));
  await cluster.patch(pods, name, { status: { conditions: [{ type: "Ready", status: "False" }] } }, "status");
  assert.deepEqual(await stateOf(cluster, "n"), tainted);
  await cluster.patch(pods, name, { status: { conditions: [{ type: "Ready", status: "True" }] } }, "status");
  await eventually(async () => assert.deepEqual(await stateOf(cluster, "n"), ready));
});

test("where it is wanted, a node whose agent is there but not ready takes no pods; one without an agent is left alone", async () => {
  await using cluster = await TestCluster.start();
  for (const name of ["n", "alone"]) await cluster.create(nodes, { metadata: { name } });
  const name = { namespace: "kube-system", name: "cilium-1" };
  const spec = { nodeName: "n", containers: [{ name: "agent", image: "none" }] };
  await cluster.create(pods, { metadata: { ...name, labels: { "k8s-app": "cilium" } }, spec });
  cluster.startOperator({ ...settings, "set-cilium-node-taints": "true" });
  await eventually(async () => assert.deepEqual((await stateOf(cluster, "n")).taints, [taint.key]));
  await cluster.patch(pods, name, { status: { conditions: [{ type: "Ready", status: "True" }] } }, "status");
  await eventually(async () => assert.deepEqual(await stateOf(cluster, "n"), { ...ready, taints: [] }));
  await cluster.patch(pods, name, { status: { conditions: [{ type: "Ready", status: "False" }] } }, "status");
  await eventually(async () => assert.deepEqual((await stateOf(cluster, "n")).taints, [taint.key]));
  assert.deepEqual((await stateOf(cluster, "alone")).taints, []);
});

test("other conditions stay, and one that a cloud has set is put right", async () => {
  await using cluster = await TestCluster.start();
  const conditions = [
    { type: "MemoryPressure", status: "False" },
    { type: "NetworkUnavailable", status: "True", reason: "NoRouteCreated" },
    { type: "Ready", status: "True" },
  ];
  await createNode(cluster, "n", "", conditions);
  await cluster.create(ciliumNodes, { metadata: { name: "n" }, spec: { addresses: [internal] } });
  cluster.startOperator(settings);
  await eventually(async () => assert.deepEqual(await stateOf(cluster, "n"), { ...ready, otherConditions: ["MemoryPressure", "Ready"] }));
});

test("each of the two can be left to somebody else", async () => {
  await using cluster = await TestCluster.start();
  for (const name of ["n", "later"]) await createNode(cluster, name, "", []);
  await cluster.create(ciliumNodes, { metadata: { name: "n" }, spec: { addresses: [internal] } });
  const onlyTaints = cluster.startOperator({ ...settings, "set-cilium-is-up-condition": "false" });
  await eventually(async () => assert.deepEqual(await stateOf(cluster, "n"), { ...ready, up: "" }));
  await onlyTaints[Symbol.asyncDispose]();
  await cluster.create(ciliumNodes, { metadata: { name: "later" }, spec: { addresses: [internal] } });
  cluster.startOperator({ ...settings, "remove-cilium-node-taints": "false" });
  await eventually(async () => assert.deepEqual(await stateOf(cluster, "later"), { ...tainted, up: "False CiliumIsUp" }));
});
