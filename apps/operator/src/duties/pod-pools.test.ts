import assert from "node:assert/strict";
import { test } from "node:test";
import { type KubernetesObject, nodePoolsFrom, recordAt, resources, textAt } from "@cilium-ts/kubernetes";
import { eventually } from "@cilium-ts/testing";
import { TestCluster } from "../test-cluster.ts";

const { ciliumNodes, ciliumPodIPPools, nodes } = resources;
const multiPool = { ipam: "multi-pool" };

async function allocated(cluster: TestCluster, name: string): Promise<string[]> {
  const object = await cluster.get(ciliumNodes, { name });
  assert.ok(object !== undefined, name);
  return nodePoolsFrom(object).allocated.map(({ pool, cidrs }) => `${pool}: ${cidrs.join(" ")}`);
}

async function problem(cluster: TestCluster, name: string): Promise<string> {
  const status = recordAt(await cluster.get(ciliumNodes, { name }), "status");
  return textAt(recordAt(recordAt(status, "ipam"), "operator-status"), "error");
}

function asking(name: string, requested: Readonly<Record<string, readonly [ipv4: number, ipv6: number]>>): KubernetesObject {
  const list = Object.entries(requested).map(([pool, [ipv4, ipv6]]) => ({ pool, needed: { "ipv4-addrs": ipv4, "ipv6-addrs": ipv6 } }));
  return { metadata: { name }, spec: { ipam: { pools: { requested: list } } } };
}

async function ask(cluster: TestCluster, name: string, requested: Readonly<Record<string, readonly [number, number]>>): Promise<void> {
  await cluster.patch(ciliumNodes, { name }, { spec: asking(name, requested).spec });
}

const twoPools =
  "default=ipv4-cidrs:10.10.0.0/24;ipv4-mask-size:28;ipv6-cidrs:fd00:10::/120;ipv6-mask-size:124 blue=ipv4-cidrs:10.20.0.0/27;ipv4-mask-size:28";

test("pools are made once, and nodes get of each as much as they ask for; more when they ask for more", async () => {
  await using cluster = await TestCluster.start();
  await cluster.create(ciliumPodIPPools, { metadata: { name: "blue" }, spec: { ipv4: { cidrs: ["10.30.0.0/27"], maskSize: 28 } } });
  await cluster.create(ciliumNodes, asking("a", { default: [8, 8], blue: [1, 1] }));
  const first = cluster.startOperator({ ...multiPool, "auto-create-cilium-pod-ip-pools": twoPools });
  // Which of the pool's pod CIDRs it is depends on whether the first write met one of somebody else.
  const one = /^default: (10\.10\.0\.\d+\/28) (fd00:10::\S*\/124)$/;
  const ofDefault = async (name: string): Promise<string> => (await allocated(cluster, name)).at(-1) ?? "";
  await eventually(async () => assert.match(await ofDefault("a"), one));
  assert.equal((await allocated(cluster, "a"))[0], "blue: 10.30.0.0/28");
  const [, ofA = "", sixOfA = ""] = one.exec(await ofDefault("a")) ?? [];
  await first[Symbol.asyncDispose]();
  await cluster.create(ciliumNodes, asking("b", { default: [8, 8] }));
  cluster.startOperator(multiPool);
  await eventually(async () => assert.match(await ofDefault("b"), one));
  const [, ofB = "", sixOfB = ""] = one.exec(await ofDefault("b")) ?? [];
  assert.ok(ofA !== ofB && sixOfA !== sixOfB, `${ofA} ${ofB} ${sixOfA} ${sixOfB}`);
  await ask(cluster, "a", { default: [16, 8], blue: [1, 1] });
  await eventually(async () => {
    const held = (await ofDefault("a")).slice("default: ".length).split(" ");
    assert.deepEqual([held.length, held.includes(ofA), held.includes(ofB), held.includes(sixOfA)], [3, true, false, true]);
  });
});

test("what a node gives back another may have; a node that is gone gives all back; a deleted CiliumNode nothing", async () => {
  await using cluster = await TestCluster.start();
  await cluster.create(ciliumPodIPPools, { metadata: { name: "blue" }, spec: { ipv4: { cidrs: ["10.20.0.0/27"], maskSize: 28 } } });
  await cluster.create(nodes, { metadata: { name: "a" } });
  await cluster.create(ciliumNodes, asking("a", { blue: [28, 0] }));
  const operator = cluster.startOperator(multiPool);
  await eventually(async () => assert.deepEqual(await allocated(cluster, "a"), ["blue: 10.20.0.0/28 10.20.0.16/28"]));
  await cluster.create(ciliumNodes, asking("b", { blue: [1, 0] }));
  await eventually(async () => assert.match(await problem(cluster, "b"), /no IPv4 pod CIDR is left in the CiliumPodIPPool blue/));
  assert.ok(operator.lines.some((line) => /node b lacks pod CIDRs: no IPv4 pod CIDR is left/.test(line)));
  const given = [{ pool: "blue", cidrs: ["10.20.0.0/28"] }];
  await ask(cluster, "a", { blue: [1, 0] });
  await cluster.patch(ciliumNodes, { name: "a" }, { spec: { ipam: { pools: { allocated: given } } } });
  await eventually(async () => assert.deepEqual(await allocated(cluster, "b"), ["blue: 10.20.0.16/28"]));
  await eventually(async () => assert.equal(await problem(cluster, "b"), ""));

  await cluster.delete(ciliumNodes, { name: "a" });
  await cluster.create(ciliumNodes, asking("a", {}));
  await eventually(async () =>
    assert.deepEqual(await allocated(cluster, "a"), ["blue: 10.20.0.0/28"], "its Node is there, and so are its pods"),
  );
  await cluster.delete(ciliumNodes, { name: "a" });
  await cluster.delete(nodes, { name: "a" });
  await ask(cluster, "b", { blue: [28, 0] });
  await eventually(async () => assert.deepEqual(await allocated(cluster, "b"), ["blue: 10.20.0.0/28 10.20.0.16/28"]));
});

test("a pool that is not there, shrinks, or is deleted while in use costs nobody what he has, and is said", async () => {
  await using cluster = await TestCluster.start();
  await cluster.create(ciliumNodes, asking("a", { blue: [1, 0] }));
  const operator = cluster.startOperator(multiPool);
  await eventually(async () => assert.match(await problem(cluster, "a"), /there is no CiliumPodIPPool blue; make it/));
  await cluster.create(ciliumPodIPPools, { metadata: { name: "blue" }, spec: { ipv4: { cidrs: ["10.20.0.0/27"], maskSize: 28 } } });
  await eventually(async () => assert.deepEqual(await allocated(cluster, "a"), ["blue: 10.20.0.0/28"]));
  await eventually(async () => assert.equal(await problem(cluster, "a"), ""));

  await cluster.patch(ciliumPodIPPools, { name: "blue" }, { spec: { ipv4: { cidrs: ["10.21.0.0/28"] } } });
  await eventually(async () => assert.deepEqual(await allocated(cluster, "a"), ["blue: 10.20.0.0/28 10.21.0.0/28"]));
  await cluster.patch(ciliumPodIPPools, { name: "blue" }, { spec: { ipv4: { cidrs: ["10.21.0.0/28", "10.21.0.0/28"] } } });
  await eventually(async () =>
    assert.ok(operator.lines.some((line) => /CiliumPodIPPool blue is not valid.*overlaps 10\.21\.0\.0\/28/.test(line))),
  );

  await cluster.delete(ciliumPodIPPools, { name: "blue" });
  await eventually(async () => assert.match(await problem(cluster, "a"), /there is no CiliumPodIPPool blue/));
  assert.deepEqual(await allocated(cluster, "a"), ["blue: 10.20.0.0/28 10.21.0.0/28"]);
});

test("thirty nodes that ask and give back, and operators that stop in the middle: no pod CIDR is ever two nodes'", async () => {
  await using cluster = await TestCluster.start();
  await cluster.create(ciliumPodIPPools, { metadata: { name: "blue" }, spec: { ipv4: { cidrs: ["10.20.0.0/24"], maskSize: 29 } } });
  const names = Array.from({ length: 30 }, (_, index) => `node-${index}`);
  await Promise.all(names.map((name) => cluster.create(ciliumNodes, asking(name, { blue: [1, 0] }))));
  const check = async (): Promise<number> => {
    const given = (await cluster.list(ciliumNodes)).flatMap((object) => nodePoolsFrom(object).allocated.flatMap(({ cidrs }) => cidrs));
    assert.equal(new Set(given).size, given.length);
    return given.length;
  };
  for (let round = 0; round < 4; round += 1) {
    const operator = cluster.startOperator(multiPool);
    await eventually(async () => assert.ok((await check()) >= 6 * round));
    const one = names[round] ?? "";
    await ask(cluster, one, {});
    await cluster.patch(ciliumNodes, { name: one }, { spec: { ipam: { pools: { allocated: [] } } } });
    await operator[Symbol.asyncDispose]();
  }
  cluster.startOperator(multiPool);
  await eventually(async () => assert.equal(await check(), 26));
});
