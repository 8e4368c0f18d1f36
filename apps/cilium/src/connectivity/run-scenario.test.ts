import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { resources } from "@cilium-ts/kubernetes";
import { systemClock } from "@cilium-ts/std";
import type { Executor } from "../pods/executor.ts";
import { TestCluster } from "../test-cluster.ts";
import { Deployment } from "./deployment.ts";
import type { Probe } from "./in-pod.ts";
import type { Places } from "./places.ts";
import { cnp, denyAll } from "./policy-objects.ts";
import { runScenario, type ScenarioWorld } from "./run-scenario.ts";
import { rows, type Scenario, type TestNames } from "./scenario.ts";

const signal = new AbortController().signal;
const names: TestNames = { namespace: "t", otherNamespace: "t-other", worldIPv4: "192.0.2.1", worldIPv6: "" };
const agents = [{ namespace: "kube-system", pod: "cilium-a", container: "cilium-agent", node: "node1", ready: true }];
const folder = mkdtempSync(join(tmpdir(), "cilium-connectivity-"));
after(() => rmSync(folder, { recursive: true }));

const scenario: Scenario = {
  name: "closed",
  about: "",
  objects: () => [cnp("closed", { endpointSelector: {}, ingress: denyAll })],
  rows: rows("client tcp/8080 near dropped"),
};

describe("a scenario", () => {
  let cluster: TestCluster;
  let deployment: Deployment;
  let places: Places;
  /** What the cluster's datapath does with a connection, whatever the policies. */
  let outcome = "timeout";
  let flows: readonly object[] = [];

  /** An agent that knows the policies of the API server at once, and pods that answer as they are told to. */
  const executor: Executor = {
    log: async () => "",
    async run(_target, command) {
      const [program = ""] = command;
      if (program === "cilium-dbg") {
        const { items } = await cluster.client.list(resources.ciliumNetworkPolicies, { signal });
        return { status: 0, stderr: "", stdout: JSON.stringify(items.map(({ metadata }) => ({ name: metadata.name }))) };
      }
      if (program === "hubble") return { status: 0, stderr: "", stdout: flows.map((flow) => `${JSON.stringify({ flow })}\n`).join("") };
      const probes: Probe[] = JSON.parse(command.at(-1) ?? "[]");
      return { status: 0, stderr: "", stdout: JSON.stringify(probes.map(({ id }) => ({ id, outcome, localPort: 4000 }))) };
    },
  };
  const world = (): ScenarioWorld => ({
    executor,
    places,
    deployment,
    names,
    agents,
    clock: systemClock,
    families: ["ipv4", "ipv6"],
    worldPort: 443,
    checksFlows: true,
    patienceMs: 50,
  });
  const policyCount = async (): Promise<number> => (await cluster.client.list(resources.ciliumNetworkPolicies, { signal })).items.length;

  before(async () => {
    cluster = await TestCluster.start(join(folder, "kubeconfig"), writeFileSync);
    await cluster.create("nodes", { metadata: { name: "node1" } });
    deployment = new Deployment({
      cluster: cluster.client,
      clock: systemClock,
      names,
      image: "x",
      nodes: ["node1"],
      startTimeoutMs: 10_000,
    });
    const stop = new AbortController();
    const kubelet = makePodsReady(cluster, stop.signal);
    places = await deployment.start(signal);
    stop.abort();
    await kubelet;
  });
  after(() => cluster[Symbol.asyncDispose]());
  beforeEach(() => {
    outcome = "timeout";
    flows = [{ verdict: "DROPPED", drop_reason_desc: "POLICY_DENIED", ...packet }];
  });

  test("passes when connections and flows are as they should be, and its policies are gone afterwards", async () => {
    const { outcome: result, attempts, problems } = await runScenario(scenario, world(), signal);
    assert.deepEqual([result, attempts, problems], ["passed", 1, []]);
    assert.equal(await policyCount(), 0);
  });

  test("fails when a connection is made that should not be", async () => {
    outcome = "answered";
    const { outcome: result, problems } = await runScenario(scenario, world(), signal);
    assert.deepEqual([result, problems], ["failed", ["client tcp/8080 near dropped over ipv4: answered"]]);
    assert.equal(await policyCount(), 0);
  });

  test("fails when Hubble does not show it", async () => {
    flows = [];
    const { outcome: result, problems } = await runScenario(scenario, world(), signal);
    assert.equal(result, "failed");
    assert.match(problems[0] ?? "", /no answer, and Hubble shows no flow dropped by policy$/);
  });

  test("is skipped without the nodes for it", async () => {
    const far = { ...scenario, rows: rows("client tcp/8080 far dropped") };
    assert.equal((await runScenario(far, world(), signal)).outcome, "skipped");
  });

  test("that the cluster refuses has failed, and leaves nothing", async () => {
    const bad = { ...scenario, objects: () => [cnp("bad", { endpointSelector: {}, ingress: [{ toPorts: "x" }] })] };
    const { outcome: result, problems } = await runScenario(bad, world(), signal);
    assert.equal(result, "failed");
    assert.match(problems[0] ?? "", /toPorts/);
    assert.equal(await policyCount(), 0);
  });

  test("namespaces of others are not touched", async () => {
    const mine = new Deployment({
      cluster: cluster.client,
      clock: systemClock,
      names: { ...names, namespace: "default" },
      image: "x",
      nodes: ["node1"],
      startTimeoutMs: 1_000,
    });
    await assert.rejects(mine.start(signal), /the namespace default exists and is not the test's; --test-namespace names another/);
  });

  test("nothing of the test is left when it is removed", async () => {
    await deployment.apply(scenario.objects(names), signal);
    await deployment.remove(signal);
    const { items } = await cluster.client.list(resources.pods, { signal });
    assert.deepEqual([items.length, await policyCount()], [0, 0]);
    assert.equal(await cluster.client.get(resources.namespaces, { name: "t" }, { signal }), undefined);
  });
});

const packet = { IP: { source: "10.0.0.1", destination: "10.0.0.3" }, l4: { TCP: { source_port: 4000, destination_port: 8080 } } };
const addresses: Readonly<Record<string, string>> = { client: "10.0.0.1", client2: "10.0.0.2", "echo-same-node": "10.0.0.3" };

async function makePodsReady(cluster: TestCluster, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    const { items } = await cluster.client.list(resources.pods, { signal });
    for (const { metadata, status } of items) {
      if (typeof status === "object" && status !== null && "podIP" in status) continue;
      const { namespace = "", name = "" } = metadata;
      const podIP = addresses[name] ?? "10.0.0.9";
      const body = { status: { phase: "Running", podIP, podIPs: [{ ip: podIP }], conditions: [{ type: "Ready", status: "True" }] } };
      await cluster.client.patch(resources.pods, { namespace, name }, { type: "merge", body }, { signal, subresource: "status" });
    }
    await systemClock.sleep(20, stop).catch(() => {}); // Rejects only on abort.
  }
}
