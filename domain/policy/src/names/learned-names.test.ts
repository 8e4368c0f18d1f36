import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { LearnedNames } from "./learned-names.ts";
import { matchesPattern } from "./name-pattern.ts";

const unused = (): boolean => false;

test("an address is meant by every pattern that means one of its names, whichever came first", () => {
  const names = new LearnedNames();
  assert.deepEqual([...names.learn("www.example", ["1.1.1.1"], 60, 0)], [], "nobody asked for it yet");
  assert.deepEqual([...names.addPattern("*.example")], ["1.1.1.1"]);
  assert.deepEqual([...names.learn("api.example", ["1.1.1.1", "1.1.1.2"], 60, 0)], ["1.1.1.1", "1.1.1.2"]);
  assert.deepEqual([...names.addPattern("api.example")], ["1.1.1.1", "1.1.1.2"]);
  assert.deepEqual(names.patternsOf("1.1.1.1"), ["*.example", "api.example"]);
  assert.deepEqual([...names.removePattern("*.example")].sort(), ["1.1.1.1", "1.1.1.2"]);
  assert.deepEqual(names.patternsOf("1.1.1.1"), ["api.example"]);
});

test("what was learned lasts as long as it was told, and not less than the least", () => {
  const names = new LearnedNames({ ttlSMin: 10 });
  names.addPattern("*");
  names.learn("a", ["1.1.1.1"], 5, 0);
  names.learn("b", ["1.1.1.2"], 30, 0);
  assert.deepEqual([...names.expire(9, unused)], []);
  assert.deepEqual([...names.expire(10, unused)], ["1.1.1.1"]);
  names.learn("b", ["1.1.1.2"], 30, 20);
  assert.deepEqual([...names.expire(40, unused)], [], "told again, it begins again");
  assert.deepEqual([...names.expire(50, unused)], ["1.1.1.2"]);
  assert.equal(names.size, 0);
});

test("an address that a connection uses outlives its time, up to a limit", () => {
  const names = new LearnedNames({ keptCountMax: 1 });
  names.addPattern("*");
  names.learn("a", ["1.1.1.1", "1.1.1.2"], 1, 0);
  assert.deepEqual([...names.expire(5, () => true)], ["1.1.1.2"]);
  assert.deepEqual([names.refused, names.patternsOf("1.1.1.1")], [1, ["*"]]);
  assert.deepEqual([...names.expire(6, unused)], ["1.1.1.1"]);
});

test("too many names are not learned, and of too many addresses the oldest go; both are counted", () => {
  const names = new LearnedNames({ nameCountMax: 1, addressCountMax: 2 });
  names.addPattern("*");
  names.learn("a", ["1.1.1.1"], 10, 0);
  assert.deepEqual([...names.learn("b", ["1.1.1.9"], 10, 0)], []);
  assert.deepEqual([...names.learn("a", ["1.1.1.2", "1.1.1.3"], 20, 0)].sort(), ["1.1.1.1", "1.1.1.2", "1.1.1.3"]);
  assert.deepEqual([names.refused, names.patternsOf("1.1.1.1"), names.patternsOf("1.1.1.3")], [2, [], ["*"]]);
});

test("names that nobody means make room for one that rules mean, the oldest first", () => {
  const names = new LearnedNames({ nameCountMax: 2 });
  names.learn("a.other", ["1.1.1.1"], 100, 0);
  names.learn("b.other", ["1.1.1.2"], 10, 0);
  names.addPattern("*.meant");
  names.learn("c.other", ["1.1.1.3"], 10, 0);
  assert.deepEqual(
    [...names.entries()].map(({ name }) => name),
    ["a.other", "b.other"],
  );
  assert.deepEqual([...names.learn("a.meant", ["1.1.1.4"], 10, 0)], ["1.1.1.4"]);
  assert.deepEqual([...names.learn("b.meant", ["1.1.1.5"], 10, 0)], ["1.1.1.5"]);
  assert.deepEqual([...names.learn("c.meant", ["1.1.1.6"], 10, 0)], [], "they do not for each other");
  assert.deepEqual([[...names.entries()].map(({ name }) => name), names.refused, names.addressCount], [["a.meant", "b.meant"], 4, 2]);
  names.removePattern("*.meant");
  names.addPattern("c.*");
  assert.deepEqual([...names.learn("c.meant", ["1.1.1.6"], 10, 0)], ["1.1.1.6"], "no longer meant, they do");
});

test("after a restart nothing is forgotten before the grace is over", () => {
  const before = new LearnedNames();
  before.learn("a.example", ["1.1.1.1"], 1, 0);
  const after = new LearnedNames();
  after.addPattern("a.example");
  assert.deepEqual([...after.restore(before.entries(), 30, 100)], ["1.1.1.1"]);
  assert.deepEqual([...after.expire(129, unused)], []);
  assert.deepEqual([...after.expire(130, unused)], ["1.1.1.1"]);
});

test("names that are to be forgotten are, and an address keeps its others", () => {
  const names = new LearnedNames();
  names.addPattern("*.example");
  names.learn("a.example", ["1.1.1.1", "1.1.1.2"], 60, 0);
  names.learn("b.example", ["1.1.1.2"], 60, 0);
  assert.deepEqual([...names.forget((name) => name === "a.example")], ["1.1.1.1", "1.1.1.2"]);
  assert.deepEqual([names.patternsOf("1.1.1.1"), names.patternsOf("1.1.1.2"), names.size], [[], ["*.example"], 1]);
});

test("whatever the order of changes, patterns mean what they say, and every change is told, on 300 sequences", () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = createRandom(seed);
    const names = new LearnedNames();
    const wanted = new Set<string>();
    const learned = new Map<string, Map<string, number>>();
    const told = new Map<string, string>();
    for (let step = 0; step < 40; step += 1) {
      const pattern = random.pick(["*", "*.example", "a.example", "b*.test", "*.*"]);
      const name = random.pick(["a.example", "b.example", "b.test", "bb.test", "x"]);
      const addresses = ["1", "2", "3"].filter(() => random.chance(0.4));
      const ttlS = random.below(10);
      const change = random.pick([
        () => {
          wanted.add(pattern);
          return names.addPattern(pattern);
        },
        () => {
          wanted.delete(pattern);
          return names.removePattern(pattern);
        },
        () => {
          const known = learned.get(name) ?? new Map<string, number>();
          for (const address of addresses) known.set(address, Math.max(known.get(address) ?? 0, step + ttlS));
          learned.set(name, known);
          return names.learn(name, addresses, ttlS, step);
        },
        () => {
          for (const known of learned.values()) for (const [address, expiresS] of known) if (expiresS <= step) known.delete(address);
          return names.expire(step, unused);
        },
      ])();
      for (const address of ["1", "2", "3"]) {
        const own = [...learned].filter(([, known]) => known.has(address)).map(([one]) => one);
        const expected = [...wanted].filter((one) => own.some((owned) => matchesPattern(one, owned))).sort();
        const text = expected.join(" ");
        assert.deepEqual(names.patternsOf(address), expected, `seed ${seed}, step ${step}`);
        if ((told.get(address) ?? "") !== text) assert.ok(change.has(address), `seed ${seed}, step ${step}: ${address} is not told`);
        told.set(address, text);
      }
    }
  }
});
