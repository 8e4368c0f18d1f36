import assert from "node:assert/strict";
import { test } from "node:test";
import { createRandom } from "@cilium-ts/testing";
import { Labels } from "./labels.ts";
import { Selector, type SelectorSpec } from "./selector.ts";
import { SelectorIndex } from "./selector-index.ts";

const web = Labels.parse(["k8s:app=web", "k8s:tier=", "container:app=nginx", "k8s:io.kubernetes.pod.namespace=default"]);

for (const [spec, expected] of [
  [{}, true],
  [{ matchLabels: { app: "web" } }, true],
  [{ matchLabels: { app: "nginx" } }, true],
  [{ matchLabels: { "k8s:app": "nginx" } }, false],
  [{ matchLabels: { "container:app": "nginx" } }, true],
  [{ matchLabels: { "any:app": "nginx" } }, true],
  [{ matchLabels: { app: "web", tier: "" } }, true],
  [{ matchLabels: { app: "web", missing: "" } }, false],
  [{ matchExpressions: [{ key: "app", operator: "In", values: ["x", "web"] }] }, true],
  [{ matchExpressions: [{ key: "app", operator: "In", values: ["x"] }] }, false],
  [{ matchExpressions: [{ key: "k8s:app", operator: "NotIn", values: ["nginx"] }] }, true],
  [{ matchExpressions: [{ key: "app", operator: "NotIn", values: ["nginx"] }] }, false],
  [{ matchExpressions: [{ key: "missing", operator: "NotIn", values: ["x"] }] }, true],
  [{ matchExpressions: [{ key: "tier", operator: "Exists" }] }, true],
  [{ matchExpressions: [{ key: "container:tier", operator: "Exists" }] }, false],
  [{ matchExpressions: [{ key: "container:tier", operator: "DoesNotExist" }] }, true],
  [{ matchExpressions: [{ key: "app", operator: "DoesNotExist" }] }, false],
  [{ matchLabels: { "reserved:host": "" } }, false],
] as const satisfies readonly (readonly [SelectorSpec, boolean])[]) {
  test(`${JSON.stringify(spec)} ${expected ? "matches" : "does not match"}`, () => assert.equal(Selector.of(spec).matches(web), expected));
}

test("selectors that ask the same have one key, others do not", () => {
  const key = (spec: SelectorSpec): string => Selector.of(spec).key;
  assert.equal(
    key({ matchLabels: { a: "1", b: "2" } }),
    key({
      matchExpressions: [
        { key: "b", operator: "In", values: ["2"] },
        { key: "any:a", operator: "In", values: ["1", "1"] },
      ],
    }),
  );
  assert.equal(
    key({ matchExpressions: [{ key: "a", operator: "In", values: ["y", "x"] }] }),
    key({ matchExpressions: [{ key: "a", operator: "In", values: ["x", "y"] }] }),
  );
  assert.notEqual(
    key({ matchExpressions: [{ key: "a", operator: "In", values: ["x", "y"] }] }),
    key({ matchExpressions: [{ key: "a", operator: "In", values: ['x","y'] }] }),
  );
  assert.notEqual(key({ matchLabels: { a: "1" } }), key({ matchLabels: { "k8s:a": "1" } }));
});

test("an index finds exactly the selectors that match", () => {
  const random = createRandom(7);
  const operators = ["In", "NotIn", "Exists", "DoesNotExist"] as const;
  const keys = ["app", "k8s:app", "tier", "io.kubernetes.pod.namespace"];
  const values = ["a", "b", "c"];
  const selectors = Array.from({ length: 200 }, () =>
    Selector.of({
      matchExpressions: Array.from({ length: random.below(3) }, () => {
        const operator = random.pick(operators);
        return {
          key: random.pick(keys),
          operator,
          values: operator === "In" || operator === "NotIn" ? values.filter(() => random.chance(0.5)) : [],
        };
      }),
    }),
  );
  const index = new SelectorIndex<number>();
  for (const [item, selector] of selectors.entries()) index.add(item, selector);
  for (const [item, selector] of selectors.entries()) if (item % 5 === 0) index.remove(item, selector);
  for (let round = 0; round < 100; round += 1) {
    const labels = Labels.parse(
      ["k8s:app", "container:app", "k8s:tier", "k8s:io.kubernetes.pod.namespace"]
        .filter(() => random.chance(0.6))
        .map((name) => `${name}=${random.pick(values)}`),
    );
    const expected = [...selectors.keys()].filter((item) => item % 5 !== 0 && selectors[item]?.matches(labels));
    assert.deepEqual(
      [...index.matching(labels)].sort((a, b) => a - b),
      expected,
      labels.key,
    );
  }
});
