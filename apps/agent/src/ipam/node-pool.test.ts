import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress, parseAddress, parsePrefix } from "@cilium-ts/net";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { createNodePool } from "./node-pool.ts";

const ipv4Range = parsePrefix("10.0.1.0/29");
const nothing = async (): Promise<undefined> => undefined;
const ipv6Range = parsePrefix("fd00::/112");

test("the first address of each range is the router's, and pods get one of each family", async () => {
  assert.ok(ipv4Range !== undefined && ipv6Range !== undefined);
  const pool = createNodePool({ ipv4Range, ipv6Range }, createSimulatedClock());
  assert.deepEqual([formatAddress(pool.routerIPv4), formatAddress(pool.routerIPv6)], ["10.0.1.1", "fd00::1"]);
  const taken = await Promise.all(Array.from({ length: 5 }, (_, index) => pool.allocate(`pod ${index}`, nothing)));
  assert.deepEqual(
    taken.map(({ ipv4 }) => formatAddress(ipv4)),
    ["10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6"],
  );
  await assert.rejects(pool.allocate("one more", nothing), /no address for one more: pod CIDR 10\.0\.1\.0\/29 is full/);
  assert.equal(pool.pools.ipv6.size, 5, "both or neither");
});

test("a restored address is taken once, and one with a deadline comes back", async () => {
  assert.ok(ipv4Range !== undefined && ipv6Range !== undefined);
  const clock = createSimulatedClock();
  const pool = createNodePool({ ipv4Range, ipv6Range }, clock);
  const address = parseAddress("10.0.1.4");
  assert.ok(address !== undefined);
  pool.claim(address, "shop/web");
  assert.throws(() => pool.claim(address, "shop/db"), /10\.0\.1\.4 belongs to shop\/web already/);
  pool.pools.ipv4.allocateNext("plugin", { delayMs: 1_000 });
  await clock.advance(1_001);
  pool.expire();
  assert.deepEqual(
    pool.pools.ipv4.snapshot().map(({ owner }) => owner),
    ["shop/web"],
  );
});
