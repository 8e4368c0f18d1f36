import assert from "node:assert/strict";
import { test } from "node:test";
import { formatPrefix, type Prefix, parsePrefix } from "@cilium-ts/net";
import { PodCIDRPool } from "./pod-cidr-pool.ts";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
}

function drain(pool: PodCIDRPool): string[] {
  const given: string[] = [];
  for (let next = pool.allocate(); next !== undefined; next = pool.allocate()) given.push(formatPrefix(next));
  return given;
}

const rows: readonly [cidr: string, maskSize: number, taken: readonly string[], free: readonly string[]][] = [
  ["10.0.0.0/22", 24, [], ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"]],
  ["10.0.0.0/24", 24, [], ["10.0.0.0/24"]],
  ["10.0.0.0/22", 24, ["10.0.1.0/24"], ["10.0.0.0/24", "10.0.2.0/24", "10.0.3.0/24"]],
  ["10.0.0.0/22", 24, ["10.0.1.0/25", "10.0.1.128/26"], ["10.0.0.0/24", "10.0.2.0/24", "10.0.3.0/24"]],
  ["10.0.0.0/22", 24, ["10.0.2.0/23"], ["10.0.0.0/24", "10.0.1.0/24"]],
  ["10.0.0.0/22", 24, ["10.0.0.0/8"], []],
  ["10.0.0.0/22", 24, ["10.1.0.0/24", "9.255.255.0/24", "fd00::/64"], ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"]],
  ["fd00::/118", 120, ["fd00::100/120"], ["fd00::/120", "fd00::200/120", "fd00::300/120"]],
  ["fd00::/126", 128, [], ["fd00::/128", "fd00::1/128", "fd00::2/128", "fd00::3/128"]],
];
for (const [cidr, maskSize, taken, free] of rows) {
  test(`${cidr} in parts of ${maskSize} bits, without ${taken.join(" and ") || "any taken"}, gives ${free.length}`, () => {
    const pool = new PodCIDRPool(prefix(cidr), maskSize);
    for (const text of taken) pool.take(prefix(text));
    assert.deepEqual(drain(pool), free);
    assert.equal(pool.used, pool.capacity);
    for (const text of taken) pool.release(prefix(text));
    for (const text of free) pool.release(prefix(text));
    assert.equal(pool.used, 0n);
    assert.equal(BigInt(drain(pool).length), pool.capacity);
  });
}

test("a pod CIDR just released is the last to be given again", () => {
  const pool = new PodCIDRPool(prefix("10.0.0.0/22"), 24);
  assert.equal(formatPrefix(pool.allocate() ?? prefix("::")), "10.0.0.0/24");
  pool.release(prefix("10.0.0.0/24"));
  assert.deepEqual(drain(pool), ["10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24", "10.0.0.0/24"]);
});

test("a pool of 2^56 costs no more than a small one", () => {
  const pool = new PodCIDRPool(prefix("fd00::/64"), 120);
  pool.take(prefix("fd00::/96"));
  assert.equal(formatPrefix(pool.allocate() ?? prefix("::")), "fd00::1:0:0/120");
  assert.equal(pool.capacity, 2n ** 56n);
  assert.equal(pool.used, 2n ** 24n + 1n);
});

for (const maskSize of [7, 33]) {
  test(`10.0.0.0/8 cannot be cut into parts of ${maskSize} bits`, () => {
    assert.throws(() => new PodCIDRPool(prefix("10.0.0.0/8"), maskSize), /10\.0\.0\.0\/8 cannot be cut .* from 8 to 32/);
  });
}
