import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { SlicePacking } from "./slice-packing.ts";

function createPacking(sizeMax: number): SlicePacking {
  let count = 0;
  return new SlicePacking(sizeMax, () => {
    count += 1;
    return `s${count}`;
  });
}

test("endpoints of a namespace share slices until they are full, in the order in which they come", () => {
  const packing = createPacking(2);
  assert.deepEqual(
    ["a", "b", "c"].map((name) => packing.put("x", name)),
    ["s1", "s1", "s2"],
  );
  assert.equal(packing.put("y", "a"), "s3");
  assert.equal(packing.put("x", "a"), "s1", "it stays where it is");
});

test("the fullest slice with room is filled first, and an empty one is gone", () => {
  const packing = createPacking(3);
  for (const name of ["a", "b", "c", "d", "e", "f"]) packing.put("x", name);
  assert.equal(packing.remove("x", "a"), "s1");
  assert.equal(packing.remove("x", "d"), "s2");
  assert.equal(packing.remove("x", "e"), "s2");
  assert.equal(packing.put("x", "g"), "s1");
  assert.equal(packing.put("x", "h"), "s2");
  packing.remove("x", "h");
  assert.equal(packing.remove("x", "f"), "s2");
  assert.deepEqual([...packing.slices()], ["s1"]);
  assert.equal(packing.remove("x", "f"), undefined);
});

test("slices are adopted as they are; an endpoint in two of them stays in the first, and one too many finds another", () => {
  const packing = createPacking(2);
  packing.adopt("old-1", "x", ["a", "b", "too-many"]);
  packing.adopt("old-2", "x", ["b", "c"]);
  assert.deepEqual([...packing.endpoints("old-1")], ["a", "b"]);
  assert.deepEqual([...packing.endpoints("old-2")], ["c"]);
  assert.equal(packing.put("x", "too-many"), "old-2");
});

test("whatever comes and goes, each endpoint is in one slice of its namespace, and no slice is too large or empty", () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = createRandom(seed);
    const packing = createPacking(4);
    const present = new Map<string, string>();
    for (let step = 0; step < 300; step += 1) {
      const [namespace, name] = [random.pick(["x", "y"]), `p${random.below(30)}`];
      const before = present.get(`${namespace}/${name}`);
      if (random.chance(0.6)) {
        const slice = packing.put(namespace, name);
        if (before !== undefined) assert.equal(slice, before, `seed ${seed}: it moved`);
        present.set(`${namespace}/${name}`, slice);
      } else {
        assert.equal(packing.remove(namespace, name), before);
        present.delete(`${namespace}/${name}`);
      }
    }
    const packed = new Map<string, string>();
    for (const slice of packing.slices()) {
      const { size } = packing.endpoints(slice);
      assert.ok(size >= 1 && size <= 4, `seed ${seed}: ${slice} has ${size}`);
      for (const name of packing.endpoints(slice)) packed.set(`${packing.namespaceOf(slice)}/${name}`, slice);
    }
    assert.deepEqual(packed, new Map([...present].filter(([key]) => packed.has(key))));
    assert.equal(packed.size, present.size);
  }
});
