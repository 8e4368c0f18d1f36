import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAge } from "./age.ts";
import { parseJsonPath, readJsonPath } from "./json-path.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const ages: readonly [number, string][] = [
  [0, "0s"],
  [119 * second, "119s"],
  [2 * minute, "2m"],
  [2 * minute + 5 * second, "2m5s"],
  [15 * minute, "15m"],
  [3 * hour + 20 * minute, "3h20m"],
  [9 * hour, "9h"],
  [3 * day + 2 * hour, "3d2h"],
  [100 * day, "100d"],
  [800 * day, "2y70d"],
];
for (const [spanMs, text] of ages) test(`an age of ${spanMs} ms is ${text}`, () => assert.equal(formatAge(spanMs), text));

const object = {
  metadata: { labels: { "io.kubernetes.pod.namespace": "demo" } },
  status: {
    conditions: [
      { type: "Valid", status: "True" },
      { type: "cilium.io/PoolConflict", status: "False" },
    ],
    addresses: [{ ip: "a" }, { ip: "b" }],
  },
};
const paths: readonly [string, unknown[]][] = [
  [".status.conditions[?(@.type=='Valid')].status", ["True"]],
  ['.status.conditions[?(@.type=="cilium.io/PoolConflict")].status', ["False"]],
  [".metadata.labels.io\\.kubernetes\\.pod\\.namespace", ["demo"]],
  [".metadata.labels['io.kubernetes.pod.namespace']", ["demo"]],
  [".status.addresses[0].ip", ["a"]],
  [".status.addresses[-1].ip", ["b"]],
  [".status.addresses[*].ip", ["a", "b"]],
  [".status.nothing.there", []],
];
for (const [text, values] of paths) test(`path ${text}`, () => assert.deepEqual(readJsonPath(parseJsonPath(text) ?? [], object), values));

test("a path of an unknown form is refused", () => assert.equal(parseJsonPath(".a[?(@.b)]..c"), undefined));
