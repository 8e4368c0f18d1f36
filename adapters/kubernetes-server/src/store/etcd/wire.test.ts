import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { fill, punch } from "./revision-hole.ts";
import { encodeMessage, MessageFields, WireError } from "./wire.ts";

test("what is written is read", () => {
  const inner = encodeMessage([1, "key"], [3, 2 ** 40 + 5]);
  const fields = new MessageFields(encodeMessage([7, inner], [7, inner], [1, "first"], [1, "second"], [2, true], [5, 0], [200, 300]));
  assert.deepEqual([fields.number(2), fields.number(5), fields.number(200), fields.text(1)], [1, 0, 300, "second"]);
  const [first] = fields.messages(7);
  assert.deepEqual([first?.text(1), first?.number(3)], ["key", 2 ** 40 + 5]);
});

test("whatever the bytes are, they are fields or an error of the wire", () => {
  const random = createRandom(11);
  for (let round = 0; round < 5_000; round += 1) {
    const bytes = Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256)));
    try {
      new MessageFields(bytes);
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
    }
  }
});

test("a text gets its revision back where it belongs, whatever else is in it", () => {
  const encode = (revision: number) => `{"labels":{"a":"1","b":"12\\n2"},"é":"11","resourceVersion":"${revision}","z":1}`;
  assert.equal(fill(punch(encode), 1_234), encode(1_234));
  assert.equal(
    fill(
      punch(() => "{}"),
      7,
    ),
    "{}",
  );
  assert.throws(() => punch((revision) => `${revision} ${revision}`), /more than one place/);
  assert.throws(() => fill("not ours", 1), /did not write/);
});
