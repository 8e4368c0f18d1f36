import assert from "node:assert/strict";
import { test } from "node:test";
import { type Prefix, parsePrefix, prefixContains } from "@cilium-ts/net";
import { createRandom, type Random } from "@cilium-ts/testing";
import { PodPoolAllocator, type PodPoolClaim, type PodPoolOptions, type PodPoolRequest } from "./pod-pool-allocator.ts";

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed !== undefined, text);
  return parsed;
}

function pool(ipv4: readonly string[], ipv6: readonly string[] = [], maskSize = 28): PodPoolOptions {
  return {
    ...(ipv4.length > 0 && { ipv4: { prefixes: ipv4.map(prefix), maskSize } }),
    ...(ipv6.length > 0 && { ipv6: { prefixes: ipv6.map(prefix), maskSize: 124 } }),
  };
}

const need = (name: string, ipv4: number, ipv6 = 0): PodPoolRequest => ({ pool: name, ipv4, ipv6 });

function shown(allocator: PodPoolAllocator, node: string, requests: readonly PodPoolRequest[]): string[] {
  const { allocated, problems } = allocator.assign(node, requests);
  return [...allocated.map(({ pool: name, cidrs }) => `${name}: ${cidrs.join(" ")}`), ...problems];
}

test("a node gets as many pod CIDRs of each pool and family as its need takes, and no more when it asks again", () => {
  const allocator = new PodPoolAllocator();
  allocator.setPool("default", pool(["10.0.0.0/24"], ["fd00::/120"]));
  allocator.setPool("blue", pool(["10.1.0.0/24"]));
  const requests = [need("default", 15, 8), need("blue", 1, 1)];
  const expected = ["blue: 10.1.0.0/28", "default: 10.0.0.0/28 10.0.0.16/28 fd00::/124"];
  assert.deepEqual(shown(allocator, "a", requests), expected);
  assert.deepEqual(shown(allocator, "a", requests), expected);
  assert.deepEqual(shown(allocator, "b", [need("default", 14)]), ["default: 10.0.0.32/28"]);
});

test("what an object names is its node's before anything is given, and what it names no more is free", () => {
  const allocator = new PodPoolAllocator();
  allocator.setPool("default", pool(["10.0.0.0/27"]));
  allocator.observe("a", [{ pool: "default", cidrs: ["10.0.0.0/28"] }], { keeps: false });
  assert.deepEqual(shown(allocator, "b", [need("default", 1)]), ["default: 10.0.0.16/28"]);
  assert.match(
    shown(allocator, "c", [need("default", 1)]).join(),
    /no IPv4 pod CIDR is left in the CiliumPodIPPool default: 10\.0\.0\.0\/27 \(2 of 2/,
  );
  allocator.observe("a", [], { keeps: false });
  assert.deepEqual(shown(allocator, "c", [need("default", 1)]), ["default: 10.0.0.0/28"]);
});

test("an object that was made anew takes nothing from its node", () => {
  const allocator = new PodPoolAllocator();
  allocator.setPool("default", pool(["10.0.0.0/27"]));
  assert.deepEqual(shown(allocator, "a", [need("default", 1)]), ["default: 10.0.0.0/28"]);
  allocator.observe("a", [], { keeps: true });
  assert.deepEqual(shown(allocator, "a", []), ["default: 10.0.0.0/28"]);
});

test("a pool that shrinks leaves nodes what they have, gives no more of it, and counts it as nothing", () => {
  const allocator = new PodPoolAllocator();
  allocator.setPool("default", pool(["10.0.0.0/24"]));
  assert.deepEqual(shown(allocator, "a", [need("default", 1)]), ["default: 10.0.0.0/28"]);
  allocator.setPool("default", pool(["10.9.0.0/24"]));
  assert.deepEqual(shown(allocator, "a", [need("default", 1)]), ["default: 10.0.0.0/28 10.9.0.0/28"]);
  allocator.setPool("default", pool(["10.0.0.0/24"]));
  assert.deepEqual(shown(allocator, "b", [need("default", 1)]), ["default: 10.0.0.16/28"], "10.0.0.0/28 is still of node a");
});

test("a pool that is deleted while in use leaves nodes what they have; who asks for more of it is told", () => {
  const allocator = new PodPoolAllocator();
  allocator.setPool("blue", pool(["10.0.0.0/24"]));
  assert.deepEqual(shown(allocator, "a", [need("blue", 1)]), ["blue: 10.0.0.0/28"]);
  allocator.removePool("blue");
  assert.match(shown(allocator, "a", [need("blue", 20)]).join(), /^blue: 10\.0\.0\.0\/28,there is no CiliumPodIPPool blue; make it/);
  allocator.setPool("other", pool(["10.0.0.0/24"]));
  assert.deepEqual(shown(allocator, "b", [need("other", 1)]), ["other: 10.0.0.16/28"], "another pool has the same addresses");
});

test("of two nodes that claim the same the first keeps it, the other is told and gets what else it needs", () => {
  const allocator = new PodPoolAllocator();
  allocator.setPool("default", pool(["10.0.0.0/24"]));
  allocator.observe("a", [{ pool: "default", cidrs: ["10.0.0.0/27"] }], { keeps: false });
  allocator.observe("b", [{ pool: "default", cidrs: ["10.0.0.16/28", "nonsense"] }], { keeps: false });
  const [granted, ...problems] = shown(allocator, "b", [need("default", 1)]);
  assert.equal(granted, "default: 10.0.0.32/28");
  assert.match(
    problems.join(" | "),
    /"nonsense" of pool default is no CIDR.* \| 10\.0\.0\.16\/28 of pool default overlaps 10\.0\.0\.0\/27 of node a/,
  );
});

test("pools that overlap give nothing twice", () => {
  const allocator = new PodPoolAllocator();
  allocator.setPool("wide", pool(["10.0.0.0/24"], [], 26));
  allocator.setPool("narrow", pool(["10.0.0.0/25"], [], 28));
  assert.deepEqual(shown(allocator, "a", [need("narrow", 20)]), ["narrow: 10.0.0.0/28 10.0.0.16/28"]);
  assert.deepEqual(shown(allocator, "b", [need("wide", 1)]), ["wide: 10.0.0.64/26"]);
  assert.deepEqual(shown(allocator, "c", [need("narrow", 60)]), ["narrow: 10.0.0.32/28 10.0.0.48/28", exhaustedNarrow]);
});
const exhaustedNarrow =
  "no IPv4 pod CIDR is left in the CiliumPodIPPool narrow: 10.0.0.0/25 (8 of 8 /28 in use); add a CIDR to it, or delete pods that use it";

test("a need beyond all reason is refused before it empties a pool", () => {
  const allocator = new PodPoolAllocator();
  allocator.setPool("default", pool(["10.0.0.0/8"], [], 30));
  assert.match(shown(allocator, "a", [need("default", 2_000_000_000)]).join(), /1024 pod CIDRs of a node are the most/);
});

/** Objects, and operators that die between giving and writing, and between writing and hearing of it. */
class World {
  readonly objects = new Map<string, readonly PodPoolClaim[]>();
  readonly #random: Random;
  #operator: PodPoolAllocator;
  #created = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#operator = this.#start();
  }

  step(): void {
    const names = [...this.objects.keys()];
    const kind = names.length === 0 ? 0 : this.#random.below(10);
    if (kind < 2) {
      this.#created += 1;
      this.objects.set(`node-${this.#created}`, []);
    } else if (kind < 3) {
      const name = this.#random.pick(names);
      this.objects.delete(name);
      this.#operator.forget(name);
    } else if (kind < 4) this.#operator = this.#start();
    else if (kind < 5) this.#setPools(this.#operator);
    else if (kind < 6) this.#release(this.#random.pick(names));
    else this.#serve(this.#random.pick(names));
  }

  /** A node lets go of one CIDR; the operator hears of it when it looks the next time. */
  #release(name: string): void {
    const claims = this.objects.get(name) ?? [];
    this.objects.set(
      name,
      claims.map(({ pool: of, cidrs }) => ({ pool: of, cidrs: cidrs.slice(1) })).filter(({ cidrs }) => cidrs.length > 0),
    );
  }

  #serve(name: string): void {
    this.#operator.observe(name, this.objects.get(name) ?? [], { keeps: false });
    const { allocated } = this.#operator.assign(name, [need("one", this.#random.below(40), 3), need("two", this.#random.below(20))]);
    if (this.#random.chance(0.7)) this.objects.set(name, allocated);
    else this.#operator = this.#start();
  }

  #start(): PodPoolAllocator {
    const operator = new PodPoolAllocator();
    this.#setPools(operator);
    for (const [name, claims] of this.objects) operator.observe(name, claims, { keeps: false });
    for (const name of this.objects.keys()) assert.deepEqual(operator.assign(name, []).problems, []);
    return operator;
  }

  #setPools(operator: PodPoolAllocator): void {
    operator.setPool("one", pool([this.#random.pick(["10.0.0.0/24", "10.0.0.0/25", "10.0.1.0/24"])], ["fd00::/120"]));
    if (this.#random.chance(0.7)) operator.setPool("two", pool([this.#random.pick(["10.0.0.128/25", "10.2.0.0/24"])], [], 29));
    else operator.removePool("two");
  }
}

test("whatever becomes of pools, nodes and operators, no pod CIDR is ever written to two nodes", () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const world = new World(createRandom(seed));
    for (let step = 0; step < 150; step += 1) {
      world.step();
      const written = [...world.objects.values()].flat().flatMap(({ cidrs }) => cidrs.map(prefix));
      for (const [index, one] of written.entries()) {
        const twice = written.slice(index + 1).some((other) => prefixContains(one, other) || prefixContains(other, one));
        assert.ok(!twice, `seed ${seed} step ${step}`);
      }
    }
  }
});
