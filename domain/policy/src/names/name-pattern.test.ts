import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { canonicalName, matchesPattern, nameProblem } from "./name-pattern.ts";

for (const [pattern, name, expected] of [
  ["*", "a", true],
  ["*", "a.b.c", true],
  ["*.example.com", "www.example.com", true],
  ["*.example.com", ".example.com", true],
  ["*.example.com", "example.com", false],
  ["*.example.com", "a.b.example.com", false],
  ["**.example.com", "a.example.com", true],
  ["**.example.com", "a.b.example.com", false],
  ["a*z.example", "az.example", true],
  ["a*z.example", "abcz.example", true],
  ["a*z.example", "a.z.example", false],
  ["*a*", "banana", true],
  ["*a*b", "aab", true],
  ["*.*.com", "a.b.com", true],
  ["*.*.com", "b.com", false],
  ["www.*", "www.example", true],
  ["www.*", "www.example.com", false],
  ["example.com", "example.com", true],
  ["example.com", "example.comx", false],
] as const) {
  test(`"${pattern}" ${expected ? "means" : "does not mean"} "${name}"`, () => assert.equal(matchesPattern(pattern, name), expected));
}

/** The same, said by a regular expression; for short texts only. */
function byExpression(pattern: string, name: string): boolean {
  if (pattern === "*") return true;
  return new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll(/\*+/g, "[^.]*")}$`).test(name);
}

test("patterns mean what their regular expressions say, on 20,000 generated pairs", () => {
  const random = createRandom(1);
  const text = (letters: string, most: number): string =>
    Array.from({ length: 1 + random.below(most) }, () => letters[random.below(letters.length)]).join("");
  for (let round = 0; round < 20_000; round += 1) {
    const [pattern, name] = [text("ab.*", 8), text("ab.", 8)];
    assert.equal(matchesPattern(pattern, name), byExpression(pattern, name), `"${pattern}" and "${name}"`);
  }
});

test("the worst pattern takes steps in proportion to both lengths", () => {
  assert.equal(matchesPattern(`${"*a".repeat(127)}b`, "a".repeat(255)), false);
});

test("names have no case, and no dot of the root", () => assert.equal(canonicalName("Www.Example.COM."), "www.example.com"));

for (const [name, kind, problem] of [
  ["example.com", "name", undefined],
  ["example.com.", "name", undefined],
  ["_sip._tcp.example", "name", undefined],
  ["*.example", "pattern", undefined],
  ["*.example", "name", /no name of DNS/],
  ["", "name", /no name of DNS/],
  ["a b", "pattern", /no pattern of DNS/],
  ["a..b", "name", /empty label/],
  [".a", "pattern", /empty label/],
  ["a".repeat(256), "name", /more than 255/],
] as const) {
  test(`"${name.slice(0, 20)}" as a ${kind} ${problem === undefined ? "is fine" : "is refused"}`, () => {
    if (problem === undefined) assert.equal(nameProblem(name, kind), undefined);
    else assert.match(nameProblem(name, kind) ?? "", problem);
  });
}
