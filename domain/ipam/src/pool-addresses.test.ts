import assert from "node:assert/strict";
import { test } from "node:test";
import { type Family, type Prefix, parsePrefix } from "@cilium-ts/net";
import { PoolAddresses, type PoolPrefixes } from "./pool-addresses.ts";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
}

function pools(given: Readonly<Record<string, readonly string[]>>): Map<string, PoolPrefixes> {
  const familiesOf = (texts: readonly string[]): PoolPrefixes => {
    const byFamily = Map.groupBy(texts.map(prefix), ({ address }): Family => (address.length === 4 ? 4 : 6));
    return byFamily;
  };
  return new Map(Object.entries(given).map(([name, texts]) => [name, familiesOf(texts)]));
}

function create(reserved: readonly string[] = []): PoolAddresses {
  return new PoolAddresses({ reserved, nowMs: () => 0, createId: () => "" });
}

function take(addresses: PoolAddresses, pool: string, owner = "default/pod"): string {
  const result = addresses.allocateNext(pool, 4, owner);
  return result.ok ? result.allocation.address : result.problem;
}

test("addresses are given of each pool's own pod CIDRs, one CIDR after the other", () => {
  const addresses = create(["10.0.0.1"]);
  addresses.setPools(pools({ default: ["10.0.0.0/24"], blue: ["10.1.0.0/24"] }));
  addresses.take([
    { pool: "default", cidrs: ["10.0.0.0/30", "10.0.0.4/30"] },
    { pool: "blue", cidrs: ["10.1.0.0/30"] },
  ]);
  assert.deepEqual(
    ["default", "default", "blue"].map((pool) => take(addresses, pool)),
    ["10.0.0.2", "10.0.0.5", "10.1.0.1"],
  );
  assert.equal(take(addresses, "default"), "10.0.0.6");
  assert.match(
    take(addresses, "default", "shop/web"),
    /no IPv4 address for shop\/web: this node has only 2 pod CIDRs, all of them full, of .* default, and has asked for more/,
  );
  assert.equal(addresses.release("10.0.0.5"), true);
  assert.equal(take(addresses, "default"), "10.0.0.5");
  assert.match(take(addresses, "red"), /there is no CiliumPodIPPool red/);
  const inIPv6 = addresses.allocateNext("blue", 6, "default/pod");
  assert.ok(!inIPv6.ok);
  assert.match(inIPv6.problem, /blue has no IPv6/);
});

test("a CIDR that the object or the pool has no more gives nothing, and keeps what it gave", () => {
  const addresses = create();
  addresses.setPools(pools({ blue: ["10.1.0.0/24"] }));
  addresses.take([{ pool: "blue", cidrs: ["10.1.0.0/29", "10.1.0.8/29"] }]);
  assert.equal(take(addresses, "blue"), "10.1.0.1");
  addresses.take([{ pool: "blue", cidrs: ["10.1.0.8/29"] }]);
  assert.equal(take(addresses, "blue"), "10.1.0.9");
  assert.equal(addresses.allocate("10.1.0.1", "default/other").ok, false, "it is still of the first");
  addresses.setPools(pools({ blue: ["10.2.0.0/24"] }));
  assert.match(take(addresses, "blue"), /this node has none of the CiliumPodIPPool blue/);
  assert.deepEqual(addresses.trim([{ pool: "blue", cidrs: ["10.1.0.8/29"] }], []), [
    { pool: "blue", cidrs: ["10.1.0.8/29", "10.1.0.0/29"] },
  ]);
  addresses.release("10.1.0.1");
  addresses.release("10.1.0.9");
  assert.deepEqual(addresses.trim([{ pool: "blue", cidrs: ["10.1.0.8/29"] }], []), []);
});

test("what is needed is what is used and waited for, with the reserve, in steps of it; a pool without reserve needs what it needs", () => {
  const addresses = create(["10.0.0.1", "fd00::1"]);
  addresses.setPools(pools({ default: ["10.0.0.0/24", "fd00::/120"], blue: ["10.1.0.0/24"] }));
  const reserves = new Map([["default", 8]]);
  assert.deepEqual(addresses.needs(reserves, []), [{ pool: "default", ipv4: 8, ipv6: 8 }]);
  addresses.take([
    { pool: "default", cidrs: ["10.0.0.0/26", "fd00::/122"] },
    { pool: "blue", cidrs: ["10.1.0.0/29"] },
  ]);
  assert.deepEqual(addresses.needs(reserves, []), [{ pool: "default", ipv4: 16, ipv6: 16 }], "the routers are in use");
  take(addresses, "blue");
  const waiting = [{ pool: "blue", ipv4: 2, ipv6: 2 }];
  assert.deepEqual(addresses.needs(reserves, waiting), [
    { pool: "blue", ipv4: 3, ipv6: 0 },
    { pool: "default", ipv4: 16, ipv6: 16 },
  ]);
});

test("what is spare is given back and not used meanwhile, but comes back when the object still names it", () => {
  const addresses = create(["10.0.0.1"]);
  addresses.setPools(pools({ default: ["10.0.0.0/24"] }));
  const shown = [{ pool: "default", cidrs: ["10.0.0.0/29", "10.0.0.8/29", "10.0.0.16/29"] }];
  addresses.take(shown);
  const needs = [{ pool: "default", ipv4: 9, ipv6: 0 }];
  assert.deepEqual(
    addresses.trim(shown, needs),
    [{ pool: "default", cidrs: ["10.0.0.0/29", "10.0.0.8/29"] }],
    "6 addresses each, 9 needed",
  );
  assert.equal(addresses.allocate("10.0.0.17", "x").ok, true, "an endpoint that is restored still finds its place");
  addresses.release("10.0.0.17");
  assert.deepEqual(addresses.trim(shown, [])[0]?.cidrs, ["10.0.0.0/29"], "the routers' is never spare");
  for (let count = 0; count < 5; count += 1) take(addresses, "default");
  assert.match(take(addresses, "default"), /all of them full/);
  addresses.take(shown);
  assert.equal(take(addresses, "default"), "10.0.0.9");
});

test("before the pools are known nothing is given and nothing is spare", () => {
  const addresses = create();
  const shown = [{ pool: "blue", cidrs: ["10.1.0.0/29"] }];
  addresses.take(shown);
  assert.match(take(addresses, "blue"), /not known yet/);
  assert.deepEqual(addresses.trim(shown, []), shown);
  assert.equal(addresses.allocate("10.1.0.3", "shop/web").ok, true);
});

test("CIDRs that overlap one another, or are none, are not taken", () => {
  const addresses = create();
  addresses.take([{ pool: "blue", cidrs: ["10.1.0.0/24", "10.1.0.0/28", "10.1.2.3", "nonsense"] }]);
  assert.deepEqual(addresses.shares(), [{ pool: "blue", cidrs: ["10.1.0.0/24"] }]);
});
