import assert from "node:assert/strict";
import { test } from "node:test";
import { resources } from "@cilium-ts/kubernetes";
import { parsePrefix } from "@cilium-ts/net";
import { ciliumNode, TestDuty } from "./duty-world.ts";
import { MissingNodes } from "./missing-nodes.ts";
import { givePodCIDRs } from "./pod-cidrs.ts";

function node(name: string) {
  const nothing = { podCIDRs: [], bootId: "", taintIndexes: [], hasTaints: false, conditionIndex: -1, hasConditions: false, isUp: false };
  return { name, uid: `uid-${name}`, resourceVersion: "1", ...nothing };
}

test("a Node without its CiliumNode is waited for until it has one, for a minute at most, and once", () => {
  const { cluster } = new TestDuty();
  let nowMs = 5_000;
  const create = (): MissingNodes => new MissingNodes(cluster, () => nowMs);
  assert.equal(create().areWaitedFor(), false);
  cluster.nodes.upsert(node("a"));
  const [first, second] = [create(), create()];
  assert.equal(first.areWaitedFor(), true);
  cluster.ciliumNodes.upsert(ciliumNode("a"));
  assert.equal(first.areWaitedFor(), false);
  cluster.nodes.upsert(node("b"));
  assert.equal(first.areWaitedFor(), false, "what is deleted from now on this leader remembers");
  assert.equal(second.areWaitedFor(), true);
  nowMs += 60_000;
  assert.equal(second.areWaitedFor(), false);
});

test("a new leader gives nobody what a node may have whose CiliumNode was deleted", async () => {
  const duty = new TestDuty();
  const { cluster, world, writes } = duty;
  const prefixes = [parsePrefix("10.0.0.0/16") ?? assert.fail()];
  cluster.nodes.upsert(node("a"));
  cluster.ciliumNodes.upsert(ciliumNode("b"));
  const stop = new AbortController();
  const running = givePodCIDRs(world, { ipam: "cluster-pool", ipv4: { prefixes, maskSize: 24 }, ipv6: undefined }, stop.signal);
  await duty.clock.advance(5_000);
  assert.deepEqual(writes, []);
  cluster.ciliumNodes.upsert(ciliumNode("a", { podCIDRs: ["10.0.0.0/24"] }));
  await duty.clock.advance(2_000);
  assert.deepEqual(writes.map(({ what, sent }) => [what, JSON.stringify(sent)])[0], [
    `patch ${resources.ciliumNodes.plural} b`,
    '{"metadata":{"resourceVersion":"7"},"spec":{"ipam":{"podCIDRs":["10.0.1.0/24"]}}}',
  ]);
  stop.abort();
  await running;
});
