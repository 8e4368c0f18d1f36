import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { PolicySchema } from "@cilium-ts/service-map/view";
import { choicesAt, fieldTypeText } from "./policy-fields.ts";
import { yamlPlaceAt } from "./yaml-place.ts";

const port = { type: "object", properties: { port: { type: "string" }, protocol: { type: "string", enum: ["TCP", "UDP"] } } };
const rule = {
  type: "object",
  properties: {
    fromEntities: { type: "array", items: { type: "string", enum: ["world", "host"] } },
    ports: { type: "array", description: "Where to", items: port },
    isOn: { type: "boolean", default: true },
  },
  required: ["ports"],
};
const metadata = { type: "object", properties: { name: { type: "string" }, namespace: { type: "string" } } };
const schemas: readonly PolicySchema[] = [
  {
    apiVersion: "v2",
    kind: "Policy",
    schema: {
      type: "object",
      properties: { metadata, spec: { type: "object", properties: { rules: { type: "array", items: rule } } } },
    },
  },
];
const head = "apiVersion: v2\nkind: Policy\n";

function choicesIn(marked: string) {
  const place = yamlPlaceAt(marked.replace("|", ""), marked.indexOf("|"));
  return place === undefined ? [] : choicesAt(place, schemas);
}

suite("what may be written", () => {
  for (const [what, text, expected] of [
    ["in an empty document: whole policies, and the keys of any object", "|", "Policy apiVersion kind metadata spec"],
    ["as a kind", "kind: |", "Policy"],
    ["as an apiVersion", "apiVersion: |\nkind: Policy", "v2"],
    ["in a rule: its keys", `${head}spec:\n  rules:\n    - |`, "fromEntities ports isOn"],
    ["beside other keys: the rest", `${head}spec:\n  rules:\n    - isOn: true\n      |`, "fromEntities ports"],
    ["as a value with choices", `${head}spec:\n  rules:\n    - ports:\n        - protocol: |`, "TCP UDP"],
    ["as an item with choices", `${head}spec:\n  rules:\n    - fromEntities:\n        - |`, "world host"],
    ["as true or false", `${head}spec:\n  rules:\n    - isOn: |`, "true false"],
    ["where nothing is known", `${head}spec:\n  others:\n    |`, ""],
    ["in an object of another kind", "kind: Secret\nspec:\n  |", ""],
  ] as const) {
    test(what, () => {
      const choices = choicesIn(text);
      assert.equal(choices.map((choice) => choice.text).join(" "), expected);
    });
  }

  test("is told with its type, whether it must be there, and what it means", () => {
    const ports = choicesIn(`${head}spec:\n  rules:\n    - |`).find(({ text }) => text === "ports");
    assert.deepEqual([ports?.detail, ports?.description, ports?.insert], ["list of objects, required", "Where to", "ports:\n  - "]);
    assert.equal(fieldTypeText(port.properties.protocol), "one of TCP, UDP");
    assert.match(choicesIn("|")[0]?.insert ?? "", /^apiVersion: v2\nkind: Policy\nmetadata:\n {2}name: new\n {2}namespace: default\nspec:/);
  });
});
