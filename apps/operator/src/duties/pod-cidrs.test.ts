import assert from "node:assert/strict";
import { test } from "node:test";
import { listAt, recordAt, resources, textAt, textsAt } from "@cilium-ts/kubernetes";
import { eventually } from "@cilium-ts/testing";
import { TestCluster } from "../test-cluster.ts";

const { ciliumNodes, nodes } = resources;

async function podCIDRs(cluster: TestCluster, name: string): Promise<readonly string[]> {
  return textsAt(recordAt(recordAt(await cluster.get(ciliumNodes, { name }), "spec"), "ipam"), "podCIDRs");
}

async function problem(cluster: TestCluster, name: string): Promise<string> {
  const status = recordAt(await cluster.get(ciliumNodes, { name }), "status");
  return textAt(recordAt(recordAt(status, "ipam"), "operator-status"), "error");
}

test("nodes are given pod CIDRs of both families, keep them over operators, and free them when they go", async () => {
  await using cluster = await TestCluster.start();
  await cluster.create(ciliumNodes, { metadata: { name: "a" }, spec: {} });
  const first = cluster.startOperator();
  await eventually(async () => assert.deepEqual(await podCIDRs(cluster, "a"), ["10.0.0.0/24", "fd00::/120"]));
  await cluster.create(ciliumNodes, { metadata: { name: "b" }, spec: {} });
  await eventually(async () => assert.deepEqual(await podCIDRs(cluster, "b"), ["10.0.1.0/24", "fd00::100/120"]));
  await first[Symbol.asyncDispose]();
  await cluster.delete(ciliumNodes, { name: "a" });
  await cluster.create(ciliumNodes, { metadata: { name: "c" }, spec: {} });
  cluster.startOperator();
  await eventually(async () => assert.deepEqual(await podCIDRs(cluster, "c"), ["10.0.0.0/24", "fd00::/120"]));
  assert.deepEqual(await podCIDRs(cluster, "b"), ["10.0.1.0/24", "fd00::100/120"]);
});

test("a pod CIDR that somebody took out of the object comes back, the same", async () => {
  await using cluster = await TestCluster.start();
  await cluster.create(ciliumNodes, { metadata: { name: "a" }, spec: {} });
  cluster.startOperator({ "enable-ipv6": "false" });
  await eventually(async () => assert.deepEqual(await podCIDRs(cluster, "a"), ["10.0.0.0/24"]));
  await cluster.patch(ciliumNodes, { name: "a" }, { spec: { ipam: { podCIDRs: [] } } });
  await eventually(async () => assert.deepEqual(await podCIDRs(cluster, "a"), ["10.0.0.0/24"]));
});

test("while the Node is there a deleted CiliumNode comes back to the same pod CIDRs, and nobody else gets them", async () => {
  await using cluster = await TestCluster.start();
  cluster.startOperator({ "cluster-pool-ipv4-cidr": "10.0.0.0/23", "enable-ipv6": "false" });
  for (const name of ["a", "b", "c"]) {
    await cluster.create(nodes, { metadata: { name } });
    if (name === "c") continue;
    await cluster.create(ciliumNodes, { metadata: { name }, spec: {} });
    await eventually(async () => assert.equal((await podCIDRs(cluster, name)).length, 1));
  }
  await cluster.delete(ciliumNodes, { name: "a" });
  await cluster.create(ciliumNodes, { metadata: { name: "c" }, spec: {} });
  await eventually(async () => assert.match(await problem(cluster, "c"), /no IPv4 pod CIDR is left/));
  await cluster.create(ciliumNodes, { metadata: { name: "a" }, spec: {} });
  await eventually(async () => assert.deepEqual(await podCIDRs(cluster, "a"), ["10.0.0.0/24"]));
  for (const resource of [ciliumNodes, nodes]) await cluster.delete(resource, { name: "a" });
  await eventually(async () => assert.deepEqual(await podCIDRs(cluster, "c"), ["10.0.0.0/24"]));
});

test("of two nodes that claim the same the older keeps it, the other is told, and all is well once the older is gone", async () => {
  await using cluster = await TestCluster.start();
  const spec = { ipam: { podCIDRs: ["10.0.7.0/24"] } };
  for (const name of ["a-younger", "z-older"]) await cluster.create(ciliumNodes, { metadata: { name }, spec });
  cluster.startOperator({ "enable-ipv6": "false" });
  const conflict = /10\.0\.7\.0\/24 belongs to node .*; delete one of the two CiliumNodes/;
  const told = async (): Promise<string> => {
    const problems = await Promise.all(["a-younger", "z-older"].map(async (name) => [name, await problem(cluster, name)] as const));
    const [[loser, text] = ["", ""], ...others] = problems.filter(([, found]) => found !== "");
    assert.match(text, conflict);
    assert.equal(others.length, 0);
    return loser;
  };
  const loser = await eventually(told);
  const winner = loser === "a-younger" ? "z-older" : "a-younger";
  assert.deepEqual(await podCIDRs(cluster, loser), ["10.0.7.0/24"], "its pods have addresses of it");
  await cluster.delete(ciliumNodes, { name: winner });
  await eventually(async () => assert.equal(await problem(cluster, loser), ""));
});

test("when the pools are exhausted the node is told, and gets its share when another node leaves", async () => {
  await using cluster = await TestCluster.start();
  const pools = { "cluster-pool-ipv4-cidr": "10.0.0.0/23", "enable-ipv6": "false" };
  cluster.startOperator(pools);
  for (const name of ["a", "b", "c"]) {
    await cluster.create(ciliumNodes, { metadata: { name }, spec: {} });
    if (name !== "c") await eventually(async () => assert.equal((await podCIDRs(cluster, name)).length, 1));
  }
  await eventually(async () =>
    assert.match(await problem(cluster, "c"), /no IPv4 pod CIDR is left in 10\.0\.0\.0\/23 \(2 of 2 \/24 in use\)/),
  );
  await cluster.delete(ciliumNodes, { name: "b" });
  await eventually(async () => assert.deepEqual(await podCIDRs(cluster, "c"), ["10.0.1.0/24"]));
  await eventually(async () => assert.equal(await problem(cluster, "c"), ""));
});

test("in kubernetes mode the pod CIDRs are those of the Node, which may come later", async () => {
  await using cluster = await TestCluster.start();
  for (const name of ["a", "b"]) await cluster.create(ciliumNodes, { metadata: { name }, spec: {} });
  await cluster.create(nodes, { metadata: { name: "a" }, spec: { podCIDRs: ["10.244.3.0/24", "fd00:3::/120"] } });
  await cluster.create(nodes, { metadata: { name: "b" } });
  cluster.startOperator({ ipam: "kubernetes" });
  await eventually(async () => assert.deepEqual(await podCIDRs(cluster, "a"), ["10.244.3.0/24", "fd00:3::/120"]));
  await eventually(async () =>
    assert.match(await problem(cluster, "b"), /there is no spec\.podCIDRs in the Node b; .*--allocate-node-cidrs/),
  );
  await cluster.patch(nodes, { name: "b" }, { spec: { podCIDRs: ["10.244.3.0/25"] } });
  await eventually(async () => assert.match(await problem(cluster, "b"), /10\.244\.3\.0\/25 overlaps 10\.244\.3\.0\/24 of node a/));
  await cluster.create(nodes, { metadata: { name: "c" }, spec: { podCIDRs: ["10.244.4.0/24"] } });
  await cluster.create(ciliumNodes, { metadata: { name: "c" }, spec: {} });
  await eventually(async () => assert.deepEqual(await podCIDRs(cluster, "c"), ["10.244.4.0/24"]));
});

test("fifty nodes at once, and an operator stopped in the middle again and again: nothing is given twice", async () => {
  await using cluster = await TestCluster.start();
  const names = Array.from({ length: 50 }, (_, index) => `node-${index}`);
  const creating = Promise.all(names.map((name) => cluster.create(ciliumNodes, { metadata: { name }, spec: {} })));
  for (let round = 0; round < 5; round += 1) {
    const operator = cluster.startOperator();
    const enough = 8 * round;
    await eventually(async () => {
      const given = (await cluster.list(ciliumNodes)).filter(
        (object) => listAt(recordAt(recordAt(object, "spec"), "ipam"), "podCIDRs").length > 0,
      );
      assert.ok(given.length >= enough);
    });
    await operator[Symbol.asyncDispose]();
  }
  await creating;
  cluster.startOperator();
  const given = await eventually(async () => {
    const all = await Promise.all(names.map((name) => podCIDRs(cluster, name)));
    assert.ok(all.every((found) => found.length === 2));
    return all.flat();
  });
  assert.equal(new Set(given).size, 100);
});
