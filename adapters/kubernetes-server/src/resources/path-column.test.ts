import assert from "node:assert/strict";
import { test } from "node:test";
import type { Mutable } from "../schema/schema.ts";
import { pathColumn } from "./column.ts";

const object: Mutable = {
  spec: { addresses: [{ ip: "10.0.0.1" }, { ip: "10.0.0.2" }], count: 3.7, size: "3", list: [1, "a"], on: false, none: null },
};
const rows: readonly [string, string, string, unknown][] = [
  ["of several values the first is shown", "string", ".spec.addresses[*].ip", "10.0.0.1"],
  ["a list is shown as JSON", "string", ".spec.list", '[1,"a"]'],
  ["a number in a column of text is text", "string", ".spec.count", "3.7"],
  ["an integer has no fraction", "integer", ".spec.count", 3],
  ["text in a column of numbers is nothing", "integer", ".spec.size", null],
  ["a boolean is itself", "boolean", ".spec.on", false],
  ["null is nothing", "string", ".spec.none", null],
  ["what is not there is nothing", "string", ".spec.other", null],
  ["a time is an age", "date", ".metadata.creationTimestamp", null],
];
for (const [name, type, jsonPath, expected] of rows) {
  test(`printer columns: ${name}`, () => assert.equal(pathColumn({ name: "X", type, jsonPath }).cell(object, 0), expected));
}
