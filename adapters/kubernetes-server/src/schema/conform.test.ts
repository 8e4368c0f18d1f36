import assert from "node:assert/strict";
import { test } from "node:test";
import { conform } from "./conform.ts";
import { problemLine } from "./problem.ts";
import type { Mutable, Schema } from "./schema.ts";

const spec = (properties: Record<string, Schema>, more: Partial<Schema> = {}): Schema => ({
  type: "object",
  properties: { spec: { type: "object", properties, ...more } },
});

/** The lines of the problems, and of the unknown fields. */
function check(schema: Schema, object: Mutable, expected: { problems?: string[]; unknown?: string[]; becomes?: Mutable }): void {
  const { problems, unknown } = conform(schema, object, { nullIsAbsent: false });
  assert.deepEqual(problems.map(problemLine), expected.problems ?? []);
  assert.deepEqual(unknown, expected.unknown ?? []);
  if (expected.becomes !== undefined) assert.deepEqual(object, expected.becomes);
}

const rows: readonly [string, Schema, Mutable, Parameters<typeof check>[2]][] = [
  [
    "a wrong type",
    spec({ port: { type: "integer" } }),
    { spec: { port: "x" } },
    { problems: ['spec.port: Invalid value: "string": spec.port in body must be of type integer: "string"'] },
  ],
  [
    "a value outside of its set",
    spec({ a: { type: "string", enum: ["TCP", "UDP"] } }),
    { spec: { a: "tcp" } },
    { problems: ['spec.a: Unsupported value: "tcp": supported values: "TCP", "UDP"'] },
  ],
  [
    "a number outside of its bounds",
    spec({ a: { type: "integer", minimum: 1, maximum: 5 } }),
    { spec: { a: 6 } },
    { problems: ["spec.a: Invalid value: 6: spec.a in body should be less than or equal to 5"] },
  ],
  ["a missing field", spec({}, { required: ["a"] }), { spec: {} }, { problems: ["spec.a: Required value"] }],
  [
    "a pattern, by an engine that cannot be made slow",
    spec({ a: { type: "string", pattern: "^([-a-zA-Z0-9_]+[.]?)+$" } }),
    { spec: { a: `${"a".repeat(60)}!` } },
    { problems: [`spec.a: Invalid value: "${"a".repeat(60)}!": spec.a in body should match '^([-a-zA-Z0-9_]+[.]?)+$'`] },
  ],
  [
    "an address range",
    spec({ a: { type: "array", items: { type: "string", format: "cidr" } } }),
    { spec: { a: ["10.0.0.0/8", "fd00::/64", "10.0.0.0", "10.0.0.0/33"] } },
    {
      problems: [
        'spec.a[2]: Invalid value: "10.0.0.0": spec.a[2] in body must be of type cidr: "10.0.0.0"',
        'spec.a[3]: Invalid value: "10.0.0.0/33": spec.a[3] in body must be of type cidr: "10.0.0.0/33"',
      ],
    },
  ],
  ["a number or a text", spec({ a: { "x-kubernetes-int-or-string": true } }), { spec: { a: "http" } }, {}],
  [
    "too many items",
    spec({ a: { type: "array", maxItems: 1, items: { type: "string" } } }),
    { spec: { a: ["x", "y"] } },
    { problems: ["spec.a: Too many: 2: must have at most 1 items"] },
  ],
  [
    "the same key twice",
    spec({
      a: {
        type: "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["n"],
        items: { type: "object", properties: { n: { type: "string" } } },
      },
    }),
    { spec: { a: [{ n: "x" }, { n: "x" }] } },
    { problems: ['spec.a[1]: Duplicate value: {"n":"x"}'] },
  ],
  [
    "unknown fields are dropped and named",
    spec({ a: { type: "object", properties: { b: { type: "string" } } } }),
    { spec: { a: { b: "x", c: 1 }, d: 2 } },
    { unknown: ["spec.a.c", "spec.d"], becomes: { spec: { a: { b: "x" } } } },
  ],
  [
    "unknown fields that may stay, stay",
    spec({ a: { type: "object", "x-kubernetes-preserve-unknown-fields": true } }),
    { spec: { a: { c: 1 } } },
    { becomes: { spec: { a: { c: 1 } } } },
  ],
  [
    "names that every object inherits are unknown too",
    spec({}),
    { spec: { constructor: 1, toString: 2 } },
    { unknown: ["spec.constructor", "spec.toString"] },
  ],
  [
    "defaults fill gaps, deep ones too",
    spec({ a: { type: "object", default: {}, properties: { b: { type: "integer", default: 3 } } } }),
    { spec: {} },
    { becomes: { spec: { a: { b: 3 } } } },
  ],
  [
    "null where nothing says it may be",
    spec({ a: { type: "string" } }),
    { spec: { a: null } },
    { problems: ['spec.a: Invalid value: "null": spec.a in body must be of type string: "null"'] },
  ],
  ["null where it may be", spec({ a: { type: "string", nullable: true } }), { spec: { a: null } }, {}],
  [
    "a rule between fields",
    spec(
      { keep: { type: "integer" }, hold: { type: "integer" } },
      { "x-kubernetes-validations": [{ rule: "self.keep <= self.hold", message: "keep must not be greater than hold" }] },
    ),
    { spec: { keep: 3, hold: 2 } },
    { problems: ['spec: Invalid value: "object": keep must not be greater than hold'] },
  ],
  [
    "a rule with has() and choices that holds",
    spec(
      { t: { type: "string" }, s: { type: "object" } },
      { "x-kubernetes-validations": [{ rule: "self.t != 'Service' || has(self.s) && self.t != 'Pod' || !has(self.x)" }] },
    ),
    { spec: { t: "Service", s: {} } },
    {},
  ],
];
for (const [name, schema, object, expected] of rows) test(`conform: ${name}`, () => check(schema, object, expected));

test("conform: a rule with oldSelf holds a field fast once it is set", () => {
  const schema = spec({
    a: { type: "string", "x-kubernetes-validations": [{ rule: "self == oldSelf", message: "it cannot be changed" }] },
  });
  const after = (previous: Mutable) => conform(schema, { spec: { a: "new" } }, { nullIsAbsent: false, previous }).problems.map(problemLine);
  assert.deepEqual(after({ spec: { a: "old" } }), ['spec.a: Invalid value: "new": it cannot be changed']);
  assert.deepEqual(after({ spec: { a: "new" } }), []);
  assert.deepEqual(after({}), []);
});
