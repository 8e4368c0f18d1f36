import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { nodePoolsFrom } from "@cilium-ts/kubernetes";
import { stopDaemon } from "@cilium-ts/lab";
import { eventually, requireKernel } from "@cilium-ts/testing";
import { Cluster, policy } from "./cluster.ts";
import { verdicts } from "./verdicts.ts";
import type { Workload } from "./workload-client.ts";

describe("pods of several pools", { skip: requireKernel() }, () => {
  let cluster: Cluster;
  let places: Record<string, Workload>;
  const soon = (text: string): Promise<void> => eventually(() => verdicts(places, text), { deadlineMs: 20_000, intervalMs: 200 });
  const kubectl = (...args: readonly string[]): Promise<string> => cluster.lab.kubectl.run(args);

  /** Of the pool, the pod CIDRs that the node has. */
  async function share(node: string, pool: string): Promise<readonly string[]> {
    const object = JSON.parse(await kubectl("get", "ciliumnode", node, "-o", "json"));
    return nodePoolsFrom(object).allocated.find((share) => share.pool === pool)?.cidrs ?? [];
  }

  const leader = (): Promise<string> =>
    kubectl("get", "lease", "-n", "kube-system", "cilium-operator-resource-lock", "-o", "jsonpath={.spec.holderIdentity}");

  function poolObject(cidr: string): object {
    const spec = { ipv4: { cidrs: [cidr], maskSize: 29 }, ipv6: { cidrs: ["fd00:99::/112"], maskSize: 125 } };
    return { apiVersion: "cilium.io/v2alpha1", kind: "CiliumPodIPPool", metadata: { name: "blue" }, spec };
  }

  before(async () => {
    cluster = await Cluster.start({ ipam: "multi-pool", nodes: 2 });
    const annotations = { "ipam.cilium.io/ip-pool": "blue" };
    await cluster.lab.kubectl.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "blue", annotations } });
    await cluster.lab.kubectl.apply(poolObject("10.99.0.0/24"));
    places = {
      client: await cluster.pod("client"),
      near: await cluster.pod("near", { namespace: "blue" }),
      far: await cluster.pod("far", { namespace: "blue", node: "node2" }),
      plain: await cluster.pod("plain", { node: "node2" }),
    };
    for (const place of Object.values(places)) await place.listen("tcp", 8081, 8082);
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  test("have addresses of theirs, and reach each other under policy wherever they run", async () => {
    const { client, near, far, plain } = places as { client: Workload; near: Workload; far: Workload; plain: Workload };
    for (const { ipv4, ipv6 } of [near, far]) assert.match(`${ipv4} ${ipv6}`, /^10\.99\.0\.\d+ fd00:99::/);
    for (const { ipv4, ipv6 } of [client, plain]) assert.match(`${ipv4} ${ipv6}`, /^10\.0\.0\.\d+ fd00::/);
    await soon(`
      client  tcp/8081  near    answered
      client  tcp/8081  far     answered
      far     tcp/8081  near    answered
      far     tcp/8081  client  answered
      near    tcp/8081  plain   answered
    `);
    const fromEndpoints = [{ matchLabels: { "k8s:io.kubernetes.pod.namespace": "blue" } }];
    const toPorts = [{ ports: [{ port: "8081", protocol: "TCP" }] }];
    await cluster.apply(policy("from-blue", "client", { ingress: [{ fromEndpoints, toPorts }] }));
    await soon(`
      far    tcp/8081  client  answered
      near   tcp/8081  client  answered
      far    tcp/8082  client  dropped
      plain  tcp/8081  client  dropped
    `);
    await cluster.clear();
  });

  test("keep what they have when the pool shrinks, its objects are deleted and every program starts again", async () => {
    const before = await share("node1", "blue");
    const former = await leader();
    await cluster.lab.kubectl.apply(poolObject("10.99.1.0/29"));
    await stopDaemon(cluster.lab.daemon("operator"), { signal: "SIGKILL" });
    await cluster.lab.killAgent("node1");
    await kubectl("delete", "ciliumnode", "node1", "--wait=false");
    cluster.lab.startOperator();
    cluster.lab.startAgent("node1");
    await cluster.lab.waitForAgent("node1");
    await eventually(async () => assert.deepEqual((await share("node1", "blue")).slice(0, before.length).toSorted(), before.toSorted()), {
      deadlineMs: 30_000,
    });
    await soon(`
      client  tcp/8081  near    answered
      far     tcp/8081  near    answered
      near    tcp/8081  plain   answered
    `);
    await eventually(async () => assert.notEqual(await leader(), former), { deadlineMs: 40_000, intervalMs: 500 });
    const later = await cluster.pod("later", { namespace: "blue", node: "node2" });
    assert.match(later.ipv4, /^10\.99\.1\./);
    places.later = later;
    await later.listen("tcp", 8081);
    await soon("near  tcp/8081  later  answered");
  });

  test("are refused while their pool has nothing left, and the node says so", async () => {
    await eventually(async () => assert.deepEqual(await share("node2", "blue").then((cidrs) => cidrs.includes("10.99.1.0/29")), true));
    await assert.rejects(
      cluster.pod("extra", { namespace: "blue" }),
      /no IPv4 pod CIDR is left in the CiliumPodIPPool blue: 10\.99\.1\.0\/29/,
    );
    await eventually(async () => {
      const { ipam } = await cluster.agent.health(new AbortController().signal);
      assert.match(ipam?.status ?? "", /no IPv4 pod CIDR is left in the CiliumPodIPPool blue/);
    });
  });
});
