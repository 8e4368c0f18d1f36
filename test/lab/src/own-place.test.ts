import assert from "node:assert/strict";
import { test } from "node:test";
import { Lab } from "./lab.ts";
import { labNameLengthMax, ownPlace } from "./own-place.ts";

test("the labs of one process are in different places", () => {
  const [first, second] = [ownPlace("a"), ownPlace("b", 1)];
  assert.notEqual(first.name, second.name);
  assert.notEqual(first.subnet, second.subnet);
  for (const { name, subnet } of [first, second]) {
    assert.match(name, /^[ab]\d{5}$/);
    assert.ok(subnet >= 100 && subnet < 240);
  }
});

test("a lab whose devices could not be named is refused with a sentence", async () => {
  const name = "x".repeat(labNameLengthMax + 1);
  await assert.rejects(
    Lab.start({ root: "/", name, subnet: 239 }),
    /the lab's name "x{11}" has more than 10 characters: its devices could not be named/,
  );
});
