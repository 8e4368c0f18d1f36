import assert from "node:assert/strict";
import { test } from "node:test";
import { matchesGlob } from "./glob.ts";

for (const [pattern, text, expected] of [
  ["", "", true],
  ["", "a", false],
  ["*", "", true],
  ["a*c", "abbbc", true],
  ["a*c", "abbbcd", false],
  ["*b*", "abc", true],
  ["a*a", "a", false],
  ["k8s-*", "k8s-1", true],
] as const) {
  test(`${JSON.stringify(pattern)} ${expected ? "matches" : "does not match"} ${JSON.stringify(text)}`, () =>
    assert.equal(matchesGlob(pattern, text), expected));
}

test("many stars do not take exponential time", () => assert.equal(matchesGlob("*a".repeat(50), `${"a".repeat(5_000)}b`), false));
