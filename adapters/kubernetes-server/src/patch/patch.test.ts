import assert from "node:assert/strict";
import { test } from "node:test";
import { coreSchemas } from "../schema/core-v1.ts";
import type { Mutable, MutableJson } from "../schema/schema.ts";
import { applyJsonPatch } from "./json-patch.ts";
import { applyMergePatch } from "./merge-patch.ts";
import { applyStrategicMergePatch } from "./strategic-merge.ts";

const mergeRows: readonly [string, MutableJson, MutableJson, MutableJson][] = [
  ["sets and replaces", { a: 1, b: { c: 1 } }, { a: 2, b: { d: 2 } }, { a: 2, b: { c: 1, d: 2 } }],
  ["null removes", { a: 1, b: { c: 1 } }, { a: null, b: { c: null } }, { b: {} }],
  ["lists are replaced", { a: [1, 2] }, { a: [3] }, { a: [3] }],
  ["an object takes the place of a value", { a: 1 }, { a: { b: null, c: 1 } }, { a: { c: 1 } }],
];
for (const [name, target, patch, expected] of mergeRows) {
  test(`merge patch: ${name}`, () => {
    const before = JSON.stringify(target);
    assert.deepEqual(applyMergePatch(target, patch), expected);
    assert.equal(JSON.stringify(target), before);
  });
}

const jsonRows: readonly [string, MutableJson, MutableJson[], MutableJson | RegExp][] = [
  ["adds a member", { a: 1 }, [{ op: "add", path: "/b", value: 2 }], { a: 1, b: 2 }],
  [
    "inserts and appends",
    { a: [1] },
    [
      { op: "add", path: "/a/0", value: 0 },
      { op: "add", path: "/a/-", value: 2 },
    ],
    { a: [0, 1, 2] },
  ],
  [
    "removes",
    { a: [1, 2], b: 1 },
    [
      { op: "remove", path: "/a/0" },
      { op: "remove", path: "/b" },
    ],
    { a: [2] },
  ],
  [
    "moves and copies",
    { a: 1 },
    [
      { op: "copy", from: "/a", path: "/b" },
      { op: "move", from: "/a", path: "/c" },
    ],
    { b: 1, c: 1 },
  ],
  ["unescapes pointers", { "x/y~z": 1 }, [{ op: "replace", path: "/x~1y~0z", value: 2 }], { "x/y~z": 2 }],
  ["a passed test changes nothing", { a: { b: [1] } }, [{ op: "test", path: "/a", value: { b: [1] } }], { a: { b: [1] } }],
  ["a failed test stops it", { a: 1 }, [{ op: "test", path: "/a", value: 2 }], /operation 0: the test of \/a failed/],
  ["replacing nothing is an error", { a: 1 }, [{ op: "replace", path: "/b", value: 2 }], /there is no \/b/],
  ["an index outside is an error", { a: [1] }, [{ op: "add", path: "/a/2", value: 2 }], /outside of its list/],
  ["an unknown operation is an error", {}, [{ op: "frob", path: "/a" }], /must be add, remove/],
  [
    "copies of copies are bounded",
    { a: ["x".repeat(1000)] },
    Array.from({ length: 40 }, () => ({ op: "copy", from: "/a", path: "/a/-" })),
    /exceed/,
  ],
];
for (const [name, target, patch, expected] of jsonRows) {
  test(`JSON patch: ${name}`, () => {
    if (expected instanceof RegExp) assert.throws(() => applyJsonPatch(target, patch), expected);
    else assert.deepEqual(applyJsonPatch(target, patch), expected);
  });
}

const podSchema = coreSchemas.get("Pod") ?? {};
const containers = (...list: Mutable[]): Mutable => ({ spec: { containers: list } });
const strategicRows: readonly [string, Mutable, Mutable, Mutable][] = [
  [
    "containers are merged by name",
    containers({ name: "a", image: "1" }, { name: "b", image: "1" }),
    containers({ name: "b", image: "2" }, { name: "c" }),
    containers({ name: "a", image: "1" }, { name: "b", image: "2" }, { name: "c" }),
  ],
  [
    "an item that is new comes first, as Kubernetes has it",
    containers({ name: "a" }, { name: "b" }),
    containers({ name: "c" }),
    containers({ name: "c" }, { name: "a" }, { name: "b" }),
  ],
  [
    "items that the given order does not name stay in front of what they were in front of",
    containers({ name: "a" }, { name: "b" }, { name: "c" }),
    { spec: { "$setElementOrder/containers": [{ name: "d" }, { name: "b" }], containers: [{ name: "d" }] } },
    containers({ name: "d" }, { name: "a" }, { name: "b" }, { name: "c" }),
  ],
  [
    "an item is deleted by directive",
    containers({ name: "a" }, { name: "b" }),
    containers({ name: "a", $patch: "delete" }),
    containers({ name: "b" }),
  ],
  [
    "ports are merged by containerPort",
    containers({ name: "a", ports: [{ containerPort: 80 }, { containerPort: 81 }] }),
    containers({ name: "a", ports: [{ containerPort: 81, name: "x" }] }),
    containers({ name: "a", ports: [{ containerPort: 80 }, { containerPort: 81, name: "x" }] }),
  ],
  [
    "lists without a key are replaced",
    containers({ name: "a", args: ["x"] }),
    containers({ name: "a", args: ["y"] }),
    containers({ name: "a", args: ["y"] }),
  ],
  [
    "the given order is kept",
    containers({ name: "a" }, { name: "b" }),
    { spec: { "$setElementOrder/containers": [{ name: "c" }, { name: "b" }, { name: "a" }], containers: [{ name: "c" }] } },
    containers({ name: "c" }, { name: "b" }, { name: "a" }),
  ],
  [
    "finalizers merge and can be taken out one by one",
    { metadata: { finalizers: ["a", "b"] } },
    { metadata: { "$deleteFromPrimitiveList/finalizers": ["a"], finalizers: ["c"] } },
    { metadata: { finalizers: ["c", "b"] } },
  ],
  [
    "a map is replaced by directive",
    { metadata: { labels: { a: "1" } } },
    { metadata: { labels: { $patch: "replace", b: "2" } } },
    { metadata: { labels: { b: "2" } } },
  ],
  [
    "a volume keeps only the keys it names",
    { spec: { volumes: [{ name: "v", emptyDir: {} }] } },
    { spec: { volumes: [{ name: "v", $retainKeys: ["name", "hostPath"], hostPath: { path: "/x" } }] } },
    { spec: { volumes: [{ name: "v", hostPath: { path: "/x" } }] } },
  ],
];
for (const [name, target, patch, expected] of strategicRows) {
  test(`strategic merge: ${name}`, () => assert.deepEqual(applyStrategicMergePatch(podSchema, target, patch), expected));
}

test("strategic merge: an item without its key is an error that names the key", () => {
  assert.throws(() => applyStrategicMergePatch(podSchema, {}, containers({ image: "x" })), /spec\.containers: .*"name"/);
});
