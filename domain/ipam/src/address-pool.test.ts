import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePrefix } from "@cilium-ts/net";
import { createRandom } from "@cilium-ts/testing";
import { allocatePair } from "./address-pair.ts";
import { AddressPool } from "./address-pool.ts";

function createPool(cidr: string, reserved: readonly string[] = []): { pool: AddressPool; time: { nowMs: number } } {
  const prefix = parsePrefix(cidr);
  assert.ok(prefix !== undefined);
  const time = { nowMs: 1_000_000 };
  let id = 0;
  const createId = (): string => {
    id += 1;
    return `id-${id}`;
  };
  return { pool: new AddressPool({ prefix, reserved, nowMs: () => time.nowMs, createId }), time };
}

function next(pool: AddressPool, owner = "default/pod"): string {
  const result = pool.allocateNext(owner);
  assert.ok(result.ok, JSON.stringify(result));
  return result.allocation.address;
}

for (const [cidr, reserved, expected] of [
  ["10.0.1.0/29", [], ["10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6"]],
  ["10.0.1.0/29", ["10.0.1.2", "10.0.2.2"], ["10.0.1.1", "10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6"]],
  ["10.0.1.0/29", ["10.0.1.0", "10.0.1.7"], ["10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6"]],
  ["10.0.1.8/31", [], ["10.0.1.8", "10.0.1.9"]],
  ["10.0.1.8/32", [], ["10.0.1.8"]],
  ["fd00::/126", [], ["fd00::1", "fd00::2", "fd00::3"]],
  ["fd00::/126", ["fd00::1"], ["fd00::2", "fd00::3"]],
] as const) {
  test(`${cidr} without ${reserved.join(" and ") || "reserved addresses"} has ${expected.length} addresses`, () => {
    const { pool } = createPool(cidr, reserved);
    assert.equal(pool.capacity, BigInt(expected.length));
    assert.deepEqual(
      expected.map(() => next(pool)),
      expected,
    );
    const full = pool.allocateNext("default/late");
    assert.ok(!full.ok);
    assert.equal(full.reason, "full");
    assert.ok(
      full.problem.includes(`default/late: pod CIDR ${cidr} is full (${expected.length} of ${expected.length} addresses in use`),
      full.problem,
    );
  });
}

test("an address just let go is the last to be given again", () => {
  const { pool } = createPool("10.0.1.0/29");
  assert.deepEqual([next(pool), next(pool)], ["10.0.1.1", "10.0.1.2"]);
  assert.equal(pool.release("10.0.1.1"), true);
  assert.deepEqual(
    [next(pool), next(pool), next(pool), next(pool), next(pool)],
    ["10.0.1.3", "10.0.1.4", "10.0.1.5", "10.0.1.6", "10.0.1.1"],
  );
});

test("a network of 2^64 addresses costs no more than a small one", () => {
  const { pool } = createPool("fd00:1::/64", ["fd00:1::1"]);
  assert.equal(pool.capacity, 2n ** 64n - 2n);
  assert.equal(next(pool), "fd00:1::2");
  const last = pool.allocate("fd00:1::ffff:ffff:ffff:ffff", "x");
  assert.ok(last.ok);
});

for (const [address, reason, message] of [
  ["10.0.1.5", "in-use", /10\.0\.1\.5 belongs to default\/a already/],
  ["10.0.1.1", "reserved", /10\.0\.1\.1 is reserved in 10\.0\.1\.0\/24/],
  ["10.0.1.0", "reserved", /is reserved/],
  ["10.0.1.255", "reserved", /is reserved/],
  ["10.0.2.1", "outside", /does not lie in the pod CIDR 10\.0\.1\.0\/24/],
  ["fd00::1", "outside", /does not lie in/],
  ["10.0.1", "invalid", /"10\.0\.1" is no address/],
] as const) {
  test(`asking for ${address} is refused: ${reason}`, () => {
    const { pool } = createPool("10.0.1.0/24", ["10.0.1.1"]);
    assert.ok(pool.allocate("10.0.1.5", "default/a").ok);
    const result = pool.allocate(address, "default/b");
    assert.ok(!result.ok);
    assert.equal(result.reason, reason);
    assert.match(result.problem, message);
    assert.equal(pool.size, 1);
  });
}

test("an address that nobody claims comes back at its deadline, a claimed one stays", () => {
  const { pool, time } = createPool("10.0.1.0/29");
  const [first, second, third] = [1, 2, 3].map(() => {
    const result = pool.allocateNext("default/pod", { delayMs: 600_000 });
    assert.ok(result.ok && result.allocation.expirationId !== undefined);
    return { address: result.allocation.address, id: result.allocation.expirationId };
  });
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  assert.equal(pool.claim(first.address, first.id), true);
  assert.equal(pool.claim(second.address, first.id), false, "another's name");
  time.nowMs += 599_999;
  assert.deepEqual(pool.expire(), []);
  time.nowMs += 1;
  assert.deepEqual(
    pool.expire().map(({ address }) => address),
    [second.address, third.address],
  );
  assert.equal(pool.claim(second.address, second.id), false, "too late");
  assert.deepEqual(pool.snapshot(), [{ address: first.address, owner: "default/pod" }]);
});

test("a claim of an earlier owner does not keep the address for the next", () => {
  const { pool } = createPool("10.0.1.8/32");
  const earlier = pool.allocateNext("default/a", { delayMs: 1 });
  assert.ok(earlier.ok && earlier.allocation.expirationId !== undefined);
  pool.release("10.0.1.8");
  assert.ok(pool.allocateNext("default/b", { delayMs: 1 }).ok);
  assert.equal(pool.claim("10.0.1.8", earlier.allocation.expirationId), false);
});

test("releasing is idempotent and takes any writing of the address", () => {
  const { pool } = createPool("fd00::/120");
  assert.equal(next(pool), "fd00::1");
  assert.equal(pool.get("FD00:0::1")?.owner, "default/pod");
  assert.equal(pool.release("FD00:0:0:0:0:0:0:1"), true);
  assert.equal(pool.release("fd00::1"), false);
  assert.equal(pool.release("nonsense"), false);
});

test("a new pool restores what the old one held", () => {
  const { pool } = createPool("10.0.1.0/29");
  next(pool, "default/a");
  next(pool, "default/b");
  const { pool: restored } = createPool("10.0.1.0/29");
  for (const { address, owner } of pool.snapshot()) assert.ok(restored.allocate(address, owner).ok);
  assert.deepEqual(restored.snapshot(), pool.snapshot());
  assert.equal(next(restored), "10.0.1.3");
});

test("a pair is both addresses or none", () => {
  const ipv4 = createPool("10.0.1.0/29").pool;
  const ipv6 = createPool("fd00::/127").pool;
  const first = allocatePair({ ipv4, ipv6 }, "default/a");
  assert.ok(first.ok);
  assert.deepEqual([first.pair.ipv4?.address, first.pair.ipv6?.address], ["10.0.1.1", "fd00::"]);
  assert.ok(allocatePair({ ipv4, ipv6 }, "default/b").ok);
  const full = allocatePair({ ipv4, ipv6 }, "default/c");
  assert.ok(!full.ok);
  assert.match(full.problem, /fd00::\/127 is full/);
  assert.equal(ipv4.size, 2, "the IPv4 address was given back");
});

test("a family that is off has no address", () => {
  const result = allocatePair({ ipv4: createPool("10.0.1.0/29").pool }, "default/a");
  assert.ok(result.ok);
  assert.deepEqual(Object.keys(result.pair), ["ipv4"]);
});

test("whatever is asked, no address has two owners and the counts agree", () => {
  for (let seed = 1; seed <= 50; seed += 1) {
    const random = createRandom(seed);
    const { pool } = createPool(random.pick(["10.0.1.0/28", "fd00::/124", "10.0.1.0/30"]), ["10.0.1.1", "fd00::1"]);
    const held = new Map<string, string>();
    for (let step = 0; step < 200; step += 1) {
      const owner = `pod-${step}`;
      if (random.chance(0.55)) {
        const result = pool.allocateNext(owner);
        assert.equal(result.ok, BigInt(held.size) < pool.capacity, `seed ${seed} step ${step}`);
        if (!result.ok) continue;
        assert.ok(!held.has(result.allocation.address), `seed ${seed} step ${step}`);
        held.set(result.allocation.address, owner);
      } else if (held.size > 0) {
        const address = random.pick([...held.keys()]);
        assert.equal(pool.release(address), true);
        held.delete(address);
      }
      assert.equal(pool.size, held.size);
    }
    assert.deepEqual(new Map(pool.snapshot().map(({ address, owner }) => [address, owner])), held);
  }
});
