import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { EndpointIdAllocator, endpointIdMax } from "./endpoint-id-allocator.ts";

function allocated(ids: EndpointIdAllocator): number {
  const result = ids.allocate();
  assert.equal(result.kind, "allocated");
  return result.kind === "allocated" ? result.id : 0;
}

test("ids begin at 1 and a freed one comes back only after all that were never used", () => {
  const ids = new EndpointIdAllocator({ idMax: 5 });
  assert.deepEqual([allocated(ids), allocated(ids), allocated(ids)], [1, 2, 3]);
  ids.release(2);
  ids.release(1);
  assert.deepEqual([allocated(ids), allocated(ids), allocated(ids), allocated(ids)], [4, 5, 2, 1]);
});

test("a full node says so, and what to do", () => {
  const ids = new EndpointIdAllocator();
  for (let count = 0; count < endpointIdMax; count += 1) allocated(ids);
  const result = ids.allocate();
  assert.deepEqual(result, { kind: "full", reason: "all 16382 endpoint ids of this node are in use: remove pods, or add a node" });
  ids.release(77);
  assert.equal(allocated(ids), 77);
});

test("claimed ids are not given out again, and gaps below them are used last", () => {
  const ids = new EndpointIdAllocator({ idMax: 6 });
  assert.equal(ids.claim(4), true);
  assert.equal(ids.claim(4), false);
  assert.deepEqual([allocated(ids), allocated(ids), allocated(ids), allocated(ids), allocated(ids)], [5, 6, 1, 2, 3]);
  assert.equal(ids.allocate().kind, "full");
});

for (const id of [0, -1, 1.5, Number.NaN, endpointIdMax + 1]) {
  test(`${id} is no endpoint id`, () => {
    const ids = new EndpointIdAllocator();
    assert.equal(ids.claim(id), false);
    ids.release(id);
    assert.equal(ids.used, 0);
  });
}

test("whatever the order of claims and releases, no id is in use twice and none is lost", () => {
  for (let seed = 0; seed < 100; seed += 1) {
    const random = createRandom(seed);
    const ids = new EndpointIdAllocator({ idMax: 12 });
    const used = new Set<number>();
    for (let step = 0; step < 200; step += 1) {
      const id = 1 + random.below(12);
      if (random.chance(0.4)) {
        assert.equal(ids.claim(id), !used.has(id), `seed ${seed}`);
        used.add(id);
      } else if (random.chance(0.5)) {
        ids.release(id);
        used.delete(id);
      } else {
        const result = ids.allocate();
        assert.equal(result.kind === "full", used.size === 12, `seed ${seed}`);
        if (result.kind !== "allocated") continue;
        assert.equal(used.has(result.id), false, `seed ${seed}`);
        used.add(result.id);
      }
      assert.equal(ids.used, used.size, `seed ${seed}`);
    }
  }
});
