import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJsonPath, renderJsonPath } from "./json-path.ts";

const value = {
  kind: "List",
  "a.b": 1,
  items: [
    { name: "one", size: 1, ready: true, tags: ["x", "y"] },
    { name: "two", size: 2, ready: false, tags: [] },
    { name: "three", size: 3, tags: ["z"] },
  ],
};

for (const [template, expected] of [
  ["{.kind}", "List"],
  ["{kind}", "List"],
  ["{$.kind}", "List"],
  ["{.a\\.b}", "1"],
  ["{['a.b']}", "1"],
  ["{.items[0].name}", "one"],
  ["{.items[-1].name}", "three"],
  ["{.items[*].name}", "one two three"],
  ["{.items[0:2].name}", "one two"],
  ["{.items[0]['name','size']}", "one 1"],
  ["{.items[0].tags}", '["x","y"]'],
  ["{..name}", "one two three"],
  ['{.items[?(@.name=="two")].size}', "2"],
  ["{.items[?(@.size>1)].name}", "two three"],
  ["{.items[?(@.ready)].name}", "one two"],
  ["{.items[?(@.ready!=true)].name}", "two"],
  ['{range .items[*]}{.name}{"\\t"}{.size}{"\\n"}{end}', "one\t1\ntwo\t2\nthree\t3\n"],
  ["{range .items[*]}{range .tags[*]}{@},{end}{end}", "x,y,z,"],
  ["kind is {.kind}!", "kind is List!"],
  ["{.nothing.here}", ""],
  ["{.items[9]}", ""],
] as const) {
  test(`${template} is ${JSON.stringify(expected)}`, () => assert.equal(renderJsonPath(parseJsonPath(template), value), expected));
}

for (const [template, problem] of [
  ["{.items", /a \{ has no \}/],
  ["{.items[}", /is no path such as \.items\[\*\]\.name/],
  ["{end}", /\{end\} stands without a \{range\}/],
  ["{range .items[*]}", /a \{range\} has no \{end\}/],
  ["{range .a}".repeat(20), /nested more than 16 deep/],
] as const) {
  test(`${template.slice(0, 30)} is refused`, () => assert.throws(() => parseJsonPath(template), problem));
}
