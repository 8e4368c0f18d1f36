import assert from "node:assert/strict";
import { test } from "node:test";
import { parseManifests } from "./manifest.ts";

const text = `# first
apiVersion: v1
kind: A
metadata:
  labels:
    a: 1
    a.b: 2
spec:
  list:
    - x: 1
    - { y: [3, 4] }
---
---
kind: SomeList
items:
  - kind: B
    name: one
  - kind: B
    name: two
`;

test("each object knows where its fields stand, and lists stand for their items", () => {
  const { objects, problems } = parseManifests(text);
  assert.deepEqual(problems, []);
  assert.deepEqual(
    objects.map(({ object }) => (object as { kind: string }).kind),
    ["A", "B", "B"],
  );
  const places = (index: number, ...paths: string[]): string[] =>
    paths.map((path) => {
      const { line, column } = objects[index]?.placeOf(path) ?? { line: 0, column: 0 };
      return `${line}:${column}`;
    });
  assert.deepEqual(places(0, "", "kind", "metadata.labels.a", "metadata.labels.a.b"), ["2:1", "3:1", "6:5", "7:5"]);
  assert.deepEqual(places(0, "spec.list[1].y[1]", "spec.list[0].x"), ["11:16", "10:7"]);
  assert.deepEqual(places(0, "spec.list[7]", "spec.other.thing", "spec.list[0].x.deeper"), ["9:3", "8:1", "10:7"], "what is around it");
  assert.deepEqual(places(2, "name"), ["19:5"]);
});

test("what is no YAML is told with its place, and the other documents are read", () => {
  const { objects, problems } = parseManifests("kind: A\n---\na: [1\n---\nkind: B\n");
  assert.deepEqual(
    objects.map(({ object }) => object),
    [{ kind: "A" }, { kind: "B" }],
  );
  assert.equal(problems.length, 1);
  assert.equal(problems[0]?.line, 4);
  const [twice] = parseManifests("a: 1\na: 2\n").problems;
  assert.deepEqual(twice, { line: 2, column: 1, message: "the key a stands twice in one map" });
});

test("a value that JSON cannot hold is told with its place", () => {
  for (const text of ["a: 1\nspec: !!binary aGVsbG8=\n", "a: 1\nspec: !!set {x}\n", "a: 1\nspec: !!omap [x: 1]\n"]) {
    const { objects, problems } = parseManifests(text);
    assert.deepEqual(objects, []);
    assert.equal(problems[0]?.line, 2);
    assert.match(problems[0]?.message ?? "", /^a value of \S+:(binary|set|omap) has no place in an object: write it as plain YAML$/);
  }
  assert.deepEqual(parseManifests("a: !!str 1\nb: !!int 2\nc: !!map {}").objects[0]?.object, { a: "1", b: 2, c: {} });
});

test("JSON, scalars and nothing at all are read too", () => {
  assert.deepEqual(parseManifests("").objects, []);
  assert.deepEqual(parseManifests('{"kind": "A"}').objects[0]?.placeOf("kind"), { line: 1, column: 2 });
  assert.deepEqual(parseManifests("just words").objects[0]?.object, "just words");
});

test("a text that grows without end when it is read is refused", () => {
  const levels = Array.from({ length: 12 }, (_, index) => `l${index + 1}: &l${index + 1} [${Array(10).fill(`*l${index}`).join(", ")}]`);
  const { problems } = parseManifests(["l0: &l0 [x]", ...levels].join("\n"));
  assert.match(problems[0]?.message ?? "", /alias/i);
});
