import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { anyPortKey, decodePortKey, portBlocks, portKeyOf, widerPortKey } from "./port-prefix.ts";
import { protocols } from "./rule.ts";

for (const [first, last, expected] of [
  [80, 80, ["80/16"]],
  [0, 65535, ["0/0"]],
  [1, 65535, Array.from({ length: 16 }, (_, bits) => `${1 << bits}/${16 - bits}`)],
  [80, 83, ["80/14"]],
  [79, 84, ["79/16", "80/14", "84/16"]],
  [65534, 65535, ["65534/15"]],
  [32768, 65535, ["32768/1"]],
] as const) {
  test(`ports ${first} to ${last} are ${expected.length} blocks`, () => {
    assert.deepEqual(
      portBlocks(first, last).map(({ port, length }) => `${port}/${length}`),
      expected,
    );
  });
}

test("blocks are exactly the range, and no two could be one", () => {
  const random = createRandom(1);
  for (let round = 0; round < 2000; round += 1) {
    const [a, b] = [random.below(65_536), random.chance(0.5) ? random.below(65_536) : random.below(300)];
    const [first, last] = [Math.min(a, b), Math.max(a, b)];
    const blocks = portBlocks(first, last);
    assert.ok(blocks.length <= 30, `${first}-${last}`);
    let next = first;
    for (const [index, { port, length }] of blocks.entries()) {
      assert.equal(port, next);
      assert.equal(port % (1 << (16 - length)), 0);
      next = port + (1 << (16 - length));
      const following = blocks[index + 1];
      const pair = following?.length === length && port % (1 << (17 - length)) === 0;
      assert.ok(!pair, `${first}-${last}: ${port}/${length} and its neighbour are one block`);
    }
    assert.equal(next, last + 1);
  }
});

test("a key is read back as it was written, and widens to everything", () => {
  for (const protocol of Object.values(protocols)) {
    for (const [port, length] of [
      [0, 0],
      [0x8000, 1],
      [80, 16],
      [0, 16],
      [65535, 16],
      [0x1230, 12],
    ] as const) {
      if (protocol === 0 && length > 0) continue;
      const key = portKeyOf(protocol, port, length);
      assert.deepEqual(decodePortKey(key), { protocol, port, length });
      let steps = 0;
      let widest = key;
      for (let wider = widerPortKey(key); wider !== undefined; wider = widerPortKey(wider)) {
        widest = wider;
        steps += 1;
      }
      assert.equal(widest, anyPortKey);
      assert.equal(steps, protocol === 0 ? 0 : length + 1);
    }
  }
});
