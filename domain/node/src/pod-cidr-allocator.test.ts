import assert from "node:assert/strict";
import { test } from "node:test";
import { type Prefix, parsePrefix, prefixContains } from "@cilium-ts/net";
import { createRandom, type Random } from "@cilium-ts/testing";
import { PodCIDRAllocator, type PodCIDRAllocatorOptions } from "./pod-cidr-allocator.ts";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
}

function pools(ipv4: readonly string[], ipv6: readonly string[] = []): PodCIDRAllocatorOptions {
  return {
    ...(ipv4.length > 0 && { ipv4: { prefixes: ipv4.map(prefix), maskSize: 24 } }),
    ...(ipv6.length > 0 && { ipv6: { prefixes: ipv6.map(prefix), maskSize: 120 } }),
  };
}

function assigned(allocator: PodCIDRAllocator, name: string): readonly string[] {
  const assignment = allocator.assign(name);
  assert.ok(assignment.outcome === "assigned", JSON.stringify(assignment));
  return assignment.podCIDRs;
}

test("each node gets one pod CIDR of each family, the same however often it asks", () => {
  const allocator = new PodCIDRAllocator(pools(["10.0.0.0/8"], ["fd00::/104"]));
  assert.deepEqual(assigned(allocator, "a"), ["10.0.0.0/24", "fd00::/120"]);
  assert.deepEqual(assigned(allocator, "b"), ["10.0.1.0/24", "fd00::100/120"]);
  assert.deepEqual(assigned(allocator, "a"), ["10.0.0.0/24", "fd00::/120"]);
});

test("what the objects say is taken before anything is given, and only the missing family is added", () => {
  const allocator = new PodCIDRAllocator(pools(["10.0.0.0/8"], ["fd00::/104"]));
  assert.deepEqual(allocator.observe({ name: "a", podCIDRs: ["10.0.0.0/24"] }), { podCIDRs: ["10.0.0.0/24"], problems: [] });
  assert.deepEqual(assigned(allocator, "b"), ["10.0.1.0/24", "fd00::/120"]);
  assert.deepEqual(assigned(allocator, "a"), ["10.0.0.0/24", "fd00::100/120"]);
});

test("an object that shows nothing yet does not lose what was assigned, and one that was changed by hand lets go of it", () => {
  const allocator = new PodCIDRAllocator(pools(["10.0.0.0/23"]));
  assigned(allocator, "a");
  assert.deepEqual(allocator.observe({ name: "a", podCIDRs: [] }).podCIDRs, ["10.0.0.0/24"]);
  assert.equal(allocator.releases, 0);
  assert.deepEqual(allocator.observe({ name: "a", podCIDRs: ["192.168.0.0/24"] }), { podCIDRs: ["192.168.0.0/24"], problems: [] });
  assert.equal(allocator.releases, 1);
  assert.deepEqual(assigned(allocator, "b"), ["10.0.1.0/24"]);
  assert.deepEqual(assigned(allocator, "c"), ["10.0.0.0/24"]);
});

for (const [claimed, problem] of [
  ["10.0.7.0/24", /10\.0\.7\.0\/24 belongs to node old; delete one of the two CiliumNodes/],
  ["10.0.7.128/25", /10\.0\.7\.128\/25 overlaps 10\.0\.7\.0\/24 of node old;/],
  ["10.0.0.0/16", /10\.0\.0\.0\/16 overlaps 10\.0\.7\.0\/24 of node old;/],
  ["10.0.8", /"10\.0\.8" is no CIDR; write an address and a length/],
  ["10.0.8.1", /"10\.0\.8\.1" is no CIDR/],
] as const) {
  test(`a claim of ${claimed} beside 10.0.7.0/24 is a problem, and nothing else is given in its place`, () => {
    const allocator = new PodCIDRAllocator(pools(["10.0.0.0/8"]));
    allocator.observe({ name: "old", podCIDRs: ["10.0.7.0/24"] });
    const standing = allocator.observe({ name: "new", podCIDRs: [claimed] });
    assert.deepEqual(standing.podCIDRs, []);
    assert.match(standing.problems.join(), problem);
    assert.equal(allocator.assign("new").outcome, "refused");
    assert.deepEqual(allocator.standing("old")?.podCIDRs, ["10.0.7.0/24"]);
  });
}

test("a conflict is over once the other node is gone", () => {
  const allocator = new PodCIDRAllocator(pools(["10.0.0.0/8"]));
  allocator.observe({ name: "a", podCIDRs: ["10.0.7.0/24"] });
  allocator.observe({ name: "b", podCIDRs: ["10.0.7.0/24"] });
  allocator.forget("a");
  assert.equal(allocator.releases, 1);
  assert.deepEqual(allocator.observe({ name: "b", podCIDRs: ["10.0.7.0/24"] }), { podCIDRs: ["10.0.7.0/24"], problems: [] });
});

test("exhaustion is all or nothing, says what is full, and ends when a node goes", () => {
  const allocator = new PodCIDRAllocator(pools(["10.0.0.0/23", "10.9.0.0/24"], ["fd00::/119"]));
  for (const name of ["a", "b"]) assigned(allocator, name);
  const third = allocator.assign("c");
  assert.ok(third.outcome === "exhausted");
  assert.match(third.problem, /no IPv6 pod CIDR is left in fd00::\/119 \(2 of 2 \/120 in use\); give the pool another prefix/);
  assert.deepEqual(allocator.counts, { capacity: 5n, used: 4n });
  allocator.forget("a");
  assert.deepEqual(assigned(allocator, "c"), ["10.0.0.0/24", "fd00::/120"]);
});

test("a node that comes back gets what it had, unless somebody else has it by now", () => {
  const allocator = new PodCIDRAllocator(pools(["10.0.0.0/22"], ["fd00::/104"]));
  for (const name of ["a", "b"]) assigned(allocator, name);
  for (const name of ["a", "b"]) allocator.forget(name);
  assert.deepEqual(assigned(allocator, "b"), ["10.0.1.0/24", "fd00::100/120"]);
  allocator.observe({ name: "thief", podCIDRs: ["10.0.0.0/25"] });
  assert.deepEqual(assigned(allocator, "a"), ["10.0.2.0/24", "fd00::/120"]);
  assert.deepEqual(assigned(allocator, "c"), ["10.0.3.0/24", "fd00::200/120"]);
});

test("pools that overlap are refused", () => {
  assert.throws(() => new PodCIDRAllocator(pools(["10.0.0.0/8", "10.1.0.0/16"])), /10\.0\.0\.0\/8 and 10\.1\.0\.0\/16 overlap/);
});

/** The objects as the API server has them, and operators that come and go. */
class World {
  readonly objects = new Map<string, readonly string[]>();
  readonly #random: Random;
  #operator: PodCIDRAllocator;
  #created = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#operator = this.#start();
  }

  step(): void {
    const kind = this.#random.below(10);
    const names = [...this.objects.keys()];
    if (kind < 4 || names.length === 0) {
      this.#created += 1;
      const name = `node-${this.#created}`;
      this.objects.set(name, []);
      this.#serve(name);
    } else if (kind < 6) {
      const name = this.#random.pick(names);
      this.objects.delete(name);
      this.#operator.forget(name);
    } else if (kind < 7) {
      this.#operator = this.#start();
    } else {
      this.#serve(this.#random.pick(names));
    }
  }

  /** Assigns, and is killed, fails or succeeds in writing it down. */
  #serve(name: string): void {
    const written = this.objects.get(name) ?? [];
    this.#operator.observe({ name, podCIDRs: written });
    const assignment = this.#operator.assign(name);
    if (assignment.outcome !== "assigned") return;
    if (written.length > 0) assert.deepEqual(assignment.podCIDRs, written);
    const fate = this.#random.below(10);
    if (fate === 0) this.#operator = this.#start();
    else if (fate > 2) this.objects.set(name, assignment.podCIDRs);
  }

  #start(): PodCIDRAllocator {
    const operator = new PodCIDRAllocator(pools(["10.0.0.0/20"], ["fd00::/116"]));
    for (const [name, podCIDRs] of this.objects) {
      const { problems } = operator.observe({ name, podCIDRs });
      assert.deepEqual(problems, []);
    }
    return operator;
  }
}

test("whatever happens, and whenever the operator is killed, no pod CIDR is ever written to two nodes", () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const world = new World(createRandom(seed));
    for (let step = 0; step < 120; step += 1) {
      world.step();
      const written = [...world.objects.values()].flat().map(prefix);
      for (const [index, one] of written.entries()) {
        const twice = written.slice(index + 1).some((other) => prefixContains(one, other) || prefixContains(other, one));
        assert.ok(!twice, `seed ${seed} step ${step}`);
      }
    }
  }
});
