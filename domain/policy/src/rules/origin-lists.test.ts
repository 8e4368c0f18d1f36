import assert from "node:assert/strict";
import { test } from "node:test";
import { entryOriginsMax, OriginLists, type OriginSet } from "./origin-lists.ts";
import type { RuleOrigin } from "./rule.ts";

const origin = (path: string): RuleOrigin => ({
  policy: { kind: "CiliumNetworkPolicy", namespace: "", name: "p", uid: "", labels: [] },
  path,
});
const [a, b, c] = [origin("a"), origin("b"), origin("c")];

function setOf(lists: OriginLists, ...origins: RuleOrigin[]): OriginSet {
  let set: OriginSet | undefined;
  for (const one of origins) set = lists.with(set, one);
  assert.ok(set !== undefined);
  return set;
}

test("equal lists are one object, and others are not", () => {
  const lists = new OriginLists();
  const list = (...origins: RuleOrigin[]) => lists.listOf(setOf(lists, ...origins));
  assert.deepEqual(list(a, b), [a, b]);
  assert.equal(list(a, b), list(a, b));
  assert.equal(list(a, c), list(a, c));
  assert.notEqual(list(a, b), list(b, a));
  assert.deepEqual(list(a, a, b), [a, b], "what came last is not said again");
});

test("a list ends where there are enough", () => {
  const lists = new OriginLists();
  const many = Array.from({ length: entryOriginsMax + 5 }, (_, index) => origin(String(index)));
  assert.deepEqual(lists.listOf(setOf(lists, ...many)), many.slice(0, entryOriginsMax));
});

test("lists that are kept stay the objects that they are; the others are forgotten", () => {
  const lists = new OriginLists();
  const kept = lists.listOf(setOf(lists, a, b));
  setOf(lists, c, a);
  assert.equal(lists.size, 4);
  lists.keepOnly([kept]);
  assert.equal(lists.size, 2);
  assert.equal(lists.listOf(setOf(lists, a, b)), kept);
});

test("hashes stand for the content, not for the objects", () => {
  const [one, other] = [new OriginLists(), new OriginLists()];
  const hashes = ({ hashHigh, hashLow }: OriginSet) => [hashHigh, hashLow];
  assert.deepEqual(hashes(setOf(one, a, b)), hashes(setOf(other, origin("a"), origin("b"))));
  assert.notDeepEqual(hashes(setOf(one, a, b)), hashes(setOf(one, b, a)));
  assert.notDeepEqual(hashes(setOf(one, a)), hashes(setOf(one, a, b)));
});
