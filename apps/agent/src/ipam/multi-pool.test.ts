import assert from "node:assert/strict";
import { test } from "node:test";
import type { PoolNeed, PoolShare } from "@cilium-ts/ipam";
import type { KubernetesObject } from "@cilium-ts/kubernetes";
import { formatAddress, type Prefix, parseAddress, parsePrefix } from "@cilium-ts/net";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { MultiPool } from "./multi-pool.ts";
import type { PodPlacement } from "./pool-choice.ts";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
}

const first: PoolShare = { pool: "default", cidrs: ["10.0.0.0/29", "fd00::/125"] };
const blue: PoolShare = { pool: "blue", cidrs: ["10.1.0.0/30", "fd00:1::/126"] };

function poolObject(name: string, ipv4: string, ipv6: string): KubernetesObject {
  return {
    metadata: { name },
    spec: { ipv4: { cidrs: [ipv4], maskSize: 30 }, ipv6: { cidrs: [ipv6], maskSize: 126 } },
  } as KubernetesObject;
}

function nodeObject(version: number, allocated: readonly PoolShare[], error = ""): KubernetesObject {
  const metadata = { name: "n1", resourceVersion: String(version) };
  return { metadata, spec: { ipam: { pools: { allocated } } }, status: { ipam: { "operator-status": { error } } } } as KubernetesObject;
}

const inBlue: PodPlacement = {
  namespace: "shop",
  name: "web",
  annotations: { "ipam.cilium.io/ip-pool": "blue" },
  labels: {},
  namespaceAnnotations: {},
  namespaceLabels: {},
};

function open() {
  const clock = createSimulatedClock();
  const kept: (readonly PoolShare[])[] = [];
  const needs: (readonly PoolNeed[])[] = [];
  const stop = new AbortController();
  const pool = new MultiPool({
    ranges: { ipv4Range: prefix("10.0.0.0/29"), ipv6Range: prefix("fd00::/125") },
    shares: [first],
    defaultPool: "default",
    reserves: new Map([["default", 2]]),
    clock,
    signal: stop.signal,
    keep: (shares) => void kept.push(shares),
    onNeeds: (need) => void needs.push(need),
  });
  pool.takePool("default", poolObject("default", "10.0.0.0/24", "fd00::/120"));
  pool.takePool("blue", poolObject("blue", "10.1.0.0/24", "fd00:1::/120"));
  pool.poolsKnown();
  pool.takeNode(nodeObject(1, [first]));
  const allocate = async (owner: string, placement?: PodPlacement): Promise<string> => {
    const { ipv4, ipv6 } = await pool.allocate(owner, async () => placement);
    return `${formatAddress(ipv4)} ${formatAddress(ipv6)}`;
  };
  return { clock, pool, kept, needs, stop, allocate };
}

test("a pod that names no pool gets addresses of the default one, the routers' excepted", async () => {
  const { pool, needs, allocate } = open();
  assert.deepEqual([pool.routerIPv4, pool.routerIPv6].map(formatAddress), ["10.0.0.1", "fd00::1"]);
  assert.equal(await allocate("shop/a"), "10.0.0.2 fd00::2");
  assert.deepEqual(needs.at(-1), [{ pool: "default", ipv4: 4, ipv6: 4 }]);
});

test("a pod waits for the pool that it names, and has its addresses as soon as the operator has given them; both or neither", async () => {
  const { pool, needs, kept, allocate } = open();
  const changes: string[] = [];
  pool.watchPrefixes(() => changes.push(String(pool.prefixes().length)));
  const waiting = allocate("shop/web", inBlue);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(needs.at(-1), [
    { pool: "blue", ipv4: 1, ipv6: 1 },
    { pool: "default", ipv4: 4, ipv6: 4 },
  ]);
  pool.takeNode(nodeObject(2, [first, { pool: "blue", cidrs: ["10.1.0.0/30"] }]));
  pool.takeNode(nodeObject(3, [first, blue]));
  assert.equal(await waiting, "10.1.0.1 fd00:1::1");
  assert.deepEqual(kept.at(-1), [first, { pool: "blue", cidrs: ["10.1.0.0/30", "fd00:1::/126"] }]);
  assert.deepEqual(changes, ["3", "4"]);
  assert.deepEqual(needs.at(-1)?.[0], { pool: "blue", ipv4: 1, ipv6: 1 });
});

test("a pod whose pool has nothing is told so after a while, in the operator's words, and still counts when it comes back", async () => {
  const { clock, pool, needs, allocate } = open();
  pool.takeNode(nodeObject(2, [first], "no IPv4 pod CIDR is left in the CiliumPodIPPool blue"));
  const refused = assert.rejects(allocate("shop/web", inBlue), {
    code: 11,
    message: /this node has none of the CiliumPodIPPool blue.*; the operator says: no IPv4 pod CIDR is left in the CiliumPodIPPool blue/,
  });
  await clock.advance(5_000);
  await refused;
  assert.equal(pool.problem(), "no IPv4 pod CIDR is left in the CiliumPodIPPool blue");
  assert.equal(needs.at(-1)?.[0]?.pool, "blue");
  await clock.advance(300_001);
  pool.expire();
  assert.deepEqual(needs.at(-1), [{ pool: "default", ipv4: 4, ipv6: 4 }], "it never came back");
});

test("what is spare is given back on the version that was seen; what is in use is named again when the object does not name it", async () => {
  const { pool, allocate } = open();
  pool.takeNode(nodeObject(2, [first, blue]));
  assert.equal(await allocate("shop/web", inBlue), "10.1.0.1 fd00:1::1");
  assert.equal(pool.trim(), undefined);
  pool.takeNode(nodeObject(3, [first]));
  assert.deepEqual(pool.trim(), { resourceVersion: "3", shares: [blue, first] });
  pool.takeNode(nodeObject(4, [first, blue]));
  for (const text of ["10.1.0.1", "fd00:1::1"]) pool.release(parseAddress(text) ?? new Uint8Array(4));
  assert.deepEqual(pool.trim(), { resourceVersion: "4", shares: [first] });
  pool.takeNode(nodeObject(4, [first, blue]));
  assert.deepEqual(pool.trim(), { resourceVersion: "4", shares: [first] }, "an answer that was lost is asked for again");
  pool.takeNode(nodeObject(5, [first]));
  assert.deepEqual(pool.shares(), [first]);
  assert.equal(pool.trim(), undefined);
});

test("an object that is gone takes nothing from the node", async () => {
  const { pool, allocate } = open();
  pool.takeNode(undefined);
  assert.deepEqual([pool.trim(), pool.shares()], [undefined, [first]]);
  assert.equal(await allocate("shop/a"), "10.0.0.2 fd00::2");
});

test("an agent that ends lets nobody wait", async () => {
  const { allocate, stop } = open();
  const refused = assert.rejects(allocate("shop/web", inBlue));
  await new Promise((resolve) => setImmediate(resolve));
  stop.abort(new Error("over"));
  await refused;
});
