import assert from "node:assert/strict";
import { test } from "node:test";
import { coreSchemas } from "../schema/core-v1.ts";
import type { Mutable } from "../schema/schema.ts";
import { decodeFields, encodeFields, fieldsOf } from "./field-set.ts";
import { encodeManagers, type FieldManager, trackUpdate, type Writer } from "./managed-fields.ts";
import { applyConfiguration } from "./server-side-apply.ts";

const schema = coreSchemas.get("Pod") ?? {};
const writer = (manager: string): Writer => ({ manager, apiVersion: "v1", time: "2026-01-01T00:00:00Z", subresource: "" });

/** Applies in turn and returns the object after the last; a conflict fails the test unless it is what the step expects. */
function check(
  steps: readonly { by: string; apply?: Mutable; update?: Mutable; force?: boolean; conflicts?: string[] }[],
  expected: Mutable,
): void {
  let object: Mutable = {};
  let managers: readonly FieldManager[] = [];
  for (const step of steps) {
    if (step.update !== undefined) {
      managers = trackUpdate(schema, managers, object, step.update, writer(step.by));
      object = step.update;
      continue;
    }
    const result = applyConfiguration(schema, object, managers, step.apply ?? {}, writer(step.by), step.force ?? false);
    if (result.outcome === "conflict") {
      assert.deepEqual(
        result.conflicts.map(({ manager, field }) => `${manager.manager} ${field}`),
        step.conflicts,
      );
      continue;
    }
    assert.equal(step.conflicts, undefined, "a conflict was expected");
    object = result.object;
    managers = result.managers;
  }
  assert.deepEqual(object, expected);
}

const labels = (values: Record<string, string>): Mutable => ({ metadata: { labels: values } });

test("fields that the writer no longer names go", () => {
  check(
    [
      { by: "a", apply: labels({ x: "1", y: "1" }) },
      { by: "a", apply: labels({ y: "2" }) },
    ],
    labels({ y: "2" }),
  );
});

test("another writer's field with another value is a conflict, with force it is taken over", () => {
  const steps = [
    { by: "a", apply: labels({ x: "1" }) },
    { by: "b", apply: labels({ x: "2" }), conflicts: ["a .metadata.labels.x"] },
    { by: "b", apply: labels({ x: "2" }), force: true },
    { by: "a", apply: labels({}) },
  ];
  check(steps, labels({ x: "2" }));
});

test("the same value is shared, and stays when one of the owners drops it", () => {
  check(
    [
      { by: "a", apply: labels({ x: "1" }) },
      { by: "b", apply: labels({ x: "1" }) },
      { by: "a", apply: {} },
    ],
    labels({ x: "1" }),
  );
});

test("what an update changed belongs to the updater", () => {
  const steps = [
    { by: "a", apply: labels({ x: "1", y: "1" }) },
    { by: "edit", update: labels({ x: "2", y: "1" }) },
    { by: "a", apply: labels({ x: "1", y: "1" }), conflicts: ["edit .metadata.labels.x"] },
    { by: "a", apply: labels({ y: "1" }) },
  ];
  check(steps, labels({ x: "2", y: "1" }));
});

test("items of keyed lists are owned one by one", () => {
  const pod = (...list: Mutable[]): Mutable => ({ spec: { containers: list } });
  const steps = [
    { by: "a", apply: pod({ name: "one", image: "1" }) },
    { by: "b", apply: pod({ name: "two", image: "2" }) },
    { by: "b", apply: pod({ name: "one", image: "9" }), conflicts: ['a .spec.containers[name="one"].image'] },
    { by: "b", apply: pod({ name: "three" }) },
  ];
  check(steps, pod({ name: "one", image: "1" }, { name: "three" }));
});

test("finalizers are owned by value", () => {
  const finalizers = (...list: string[]): Mutable => ({ metadata: { finalizers: list } });
  const steps = [
    { by: "a", apply: finalizers("x") },
    { by: "b", apply: finalizers("y", "x") },
    { by: "a", apply: {} },
    { by: "b", apply: finalizers("y") },
  ];
  check(steps, finalizers("y"));
});

test("fields are written and read as managedFields has them", () => {
  const fields = fieldsOf(schema, {
    metadata: { labels: { app: "x" } },
    spec: { containers: [{ name: "a", ports: [{ containerPort: 80 }] }] },
  });
  const encoded = {
    "f:metadata": { "f:labels": { "f:app": {} } },
    "f:spec": {
      "f:containers": {
        'k:{"name":"a"}': {
          ".": {},
          "f:name": {},
          "f:ports": { 'k:{"containerPort":80,"protocol":"TCP"}': { ".": {}, "f:containerPort": {} } },
        },
      },
    },
  };
  assert.deepEqual(encodeFields(fields), encoded);
  assert.deepEqual(encodeFields(decodeFields(encoded)), encoded);
});

test("the number of updating managers is bounded", () => {
  let managers: readonly FieldManager[] = [];
  let object: Mutable = labels({});
  for (let index = 0; index < 20; index += 1) {
    const next = labels({ ...(object.metadata as { labels: Record<string, string> }).labels, [`l${index}`]: "x" });
    managers = trackUpdate(schema, managers, object, next, { ...writer(`m${index}`), time: `2026-01-01T00:00:${10 + index}Z` });
    object = next;
  }
  assert.equal(encodeManagers(managers).length, 10);
  assert.equal(managers[0]?.manager, "ancient-changes");
});
