import assert from "node:assert/strict";
import { test } from "node:test";
import { compileJsonFilters, parseJsonFilterList } from "./json-filters.ts";

for (const [text, expected] of [
  ["", []],
  ['{"a":1}', [{ a: 1 }]],
  ['{"a":1} {"b":{"c":2}},{"d":3}\n{"e":4}', [{ a: 1 }, { b: { c: 2 } }, { d: 3 }, { e: 4 }]],
  ['{"a":"} {"} {"b":"\\"}{"}', [{ a: "} {" }, { b: '"}{' }]],
  ['[{"a":1},{"b":2}]', [{ a: 1 }, { b: 2 }]],
] as const) {
  test(`filters are read from ${JSON.stringify(text)}`, () => assert.deepEqual(parseJsonFilterList(text), { filters: expected }));
}

for (const text of ["{", "}", '{"a":1', '{"a":1} nonsense', '[{"a":1}', "1 2", '"']) {
  test(`no filters are read from ${JSON.stringify(text)}`, () => {
    const parsed = parseJsonFilterList(text);
    assert.ok("problem" in parsed);
    assert.match(parsed.problem, /is no JSON/);
  });
}

test("a filter that is none is shown with the reason", () => {
  for (const [filter, problem] of [
    [{ nonsense: 1 }, /\{"nonsense":1\} is no filter: /],
    [{ source_ip: ["x"] }, /IP "x" is neither/],
    ["text", /"text" is no filter/],
    [null, /null is no filter/],
  ] as const) {
    const compiled = compileJsonFilters([], [filter]);
    assert.ok("problem" in compiled, JSON.stringify(filter));
    assert.match(compiled.problem, problem);
  }
});
