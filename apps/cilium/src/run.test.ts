import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { resources } from "@cilium-ts/kubernetes";
import { type Ran, TestCluster } from "./test-cluster.ts";

const signal = new AbortController().signal;
const folder = mkdtempSync(join(tmpdir(), "cilium-"));
after(() => rmSync(folder, { recursive: true }));

/** In place of an agent's pod: says what stands in a file. */
const agentSays = join(folder, "agent.json");
const execProgram = join(folder, "exec");
const well = { cilium: { state: "Ok", msg: "cilium-ts" }, kubernetes: { state: "Ok" }, hubble: { state: "Ok" } };
writeFileSync(execProgram, `#!/bin/sh\nexec cat ${agentSays}\n`, { mode: 0o755 });
writeFileSync(agentSays, JSON.stringify(well));

let cluster: TestCluster;
const cilium = (line: string): Promise<Ran> =>
  cluster.cilium(line, { KUBECONFIG: join(folder, "kubeconfig"), CILIUM_EXEC_PROGRAM: execProgram });
before(async () => {
  cluster = await TestCluster.start(join(folder, "kubeconfig"), writeFileSync);
});
after(() => cluster[Symbol.asyncDispose]());

test("a cluster without Cilium is told so, with a failure", async () => {
  const { code, out, error } = await cilium("status");
  assert.deepEqual([code, error], [1, ""]);
  assert.match(out, /^Cilium: +1 error$/m);
  assert.match(out, /^Errors: +cilium +cilium +there is no DaemonSet cilium in the namespace kube-system; --namespace says/m);
  assert.match(out, /no operator has ever taken up the cluster's duties/);
});

describe("of a cluster with Cilium", () => {
  before(async () => {
    await cluster.install();
    await cluster.pod("default", "web", { managed: true });
  });

  test("status is the layout that people know", async () => {
    const { code, out, error } = await cilium("status");
    assert.equal(
      `\n${out}`,
      `
Cilium:             OK
Operator:           OK
Envoy DaemonSet:    disabled (using embedded mode)
Hubble Relay:       disabled
Hubble UI:          disabled
ClusterMesh:        disabled

DaemonSet              cilium                   Desired: 1, Ready: 1/1, Available: 1/1
Deployment             cilium-operator          Desired: 1, Ready: 1/1, Available: 1/1
Containers:            cilium                   Running: 1
                       cilium-operator          Running: 1
Nodes:                 1/1 with an agent
Cluster Pods:          1/1 managed by Cilium
Leader:                operator-1
Image versions         cilium                   example.org/cilium:v1: 1
                       cilium-operator          example.org/operator:v1: 1
`,
    );
    assert.deepEqual([code, error], [0, ""]);
  });

  test("status in JSON has the fields that programs know", async () => {
    const { out } = await cilium("status -o json");
    const status = JSON.parse(out);
    assert.deepEqual(status.pod_state.cilium, { Type: "DaemonSet", Desired: 1, Ready: 1, Available: 1, Unavailable: 0 });
    assert.deepEqual(status.pod_state["hubble-relay"], { Type: "Deployment", Disabled: true });
    assert.deepEqual([status.pods_count, status.errors], [{ All: 1, ByCilium: 1 }, {}]);
    assert.deepEqual(status.phase_count, { cilium: { Running: 1 }, "cilium-operator": { Running: 1 } });
  });

  test("version names the image of the agents", async () => {
    const { code, out } = await cilium("version");
    assert.equal(code, 0);
    assert.match(out, /^cilium-cli: v0\.1\.0 on Node v\d+.*\ncilium image \(running\): example\.org\/cilium:v1\n$/);
    assert.doesNotMatch((await cilium("version --client")).out, /image/);
  });

  test("pods without an endpoint, nodes without an agent and containers that wait are named", async () => {
    await cluster.create("nodes", { metadata: { name: "node2" } });
    await cluster.pod("default", "stray");
    await cluster.pod("kube-system", "relay-x", { labels: { "k8s-app": "hubble-relay" }, hostNetwork: true, waiting: "CrashLoopBackOff" });
    const selector = { matchLabels: { "k8s-app": "hubble-relay" } };
    await cluster.create("deployments", {
      metadata: { namespace: "kube-system", name: "hubble-relay" },
      spec: {
        replicas: 2,
        selector,
        template: { metadata: { labels: selector.matchLabels }, spec: { containers: [{ name: "r", image: "r" }] } },
      },
      status: { replicas: 1, unavailableReplicas: 2 },
    });
    const { code, out } = await cilium("status");
    assert.equal(code, 1);
    for (const line of [
      /^Hubble Relay: +2 errors$/m,
      /hubble-relay +2 of 2 pods of Deployment hubble-relay are not ready$/m,
      /relay-x +container main waits: CrashLoopBackOff$/m,
      /node2 +no agent has made itself known on this node: it has no CiliumNode$/m,
      /1 pods are not managed by Cilium, and policies do not protect them: default\/stray$/m,
    ])
      assert.match(out, line);
  });

  test("what agents say of themselves counts, and that they cannot be asked too", async () => {
    const failing = { name: "publish", status: { "consecutive-failure-count": 3, "last-failure-msg": "no route" } };
    writeFileSync(
      agentSays,
      JSON.stringify({ ...well, cilium: { state: "Failure", msg: "the kernel is too old" }, controllers: [failing] }),
    );
    const { code, out } = await cilium("status");
    assert.equal(code, 1);
    assert.match(out, /cilium +cilium-x +the agent is not well: the kernel is too old$/m);
    assert.match(out, /cilium-x +publish has failed 3 times in a row: no route$/m);
    const { cilium_status: said } = JSON.parse((await cilium("status -o json")).out);
    assert.equal(said["cilium-x"].cilium.msg, "the kernel is too old");
    writeFileSync(agentSays, "no JSON");
    assert.match((await cilium("status")).out, /cilium-x +1 agents could not be asked: /m);
    writeFileSync(agentSays, JSON.stringify(well));
  });

  test("--wait ends as soon as nothing is wrong, and otherwise when its time is up", async () => {
    const late = await cilium("status --wait --wait-duration 10ms");
    assert.equal(late.code, 1);
    assert.match(late.error, /^cilium: Cilium is not well after 10ms; --wait-duration gives it longer\n$/);
    const waiting = cilium("status --wait --wait-duration 1m");
    const namespace = "kube-system";
    await cluster.client.delete(resources.deployments, { namespace, name: "hubble-relay" }, { signal });
    await cluster.client.delete(resources.nodes, { name: "node2" }, { signal });
    await cluster.client.delete(resources.pods, { namespace: "default", name: "stray" }, { signal });
    assert.equal((await waiting).code, 0);
  });
});

for (const [line, problem] of [
  ["frobnicate", /^cilium: there is no command "frobnicate"; --help lists them$/],
  ["status -o xml", /^cilium: output format "xml" is none of json, yaml/],
  ["status --wait --wait-duration soon", /^cilium: --wait-duration "soon" is no duration such as 5m, of a day at most$/],
  ["--kubeconfig /nowhere status", /^cilium: kubeconfig \/nowhere: cannot be read: /],
] as const) {
  test(`${line}: one sentence and a failure`, async () => {
    const { code, out, error } = await cilium(line);
    assert.deepEqual([code, out], [1, ""]);
    assert.match(error.trim(), problem);
    assert.equal(error.trim().split("\n").length, 1, error);
  });
}

test("a cluster that nobody names is asked for", async () => {
  const { code, error } = await cluster.cilium("status", { HOME: folder });
  assert.deepEqual([code, error.split(":")[1]], [1, " it is not known which cluster is meant"]);
});
