import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { FlowSchema } from "./gen/flow/flow_pb.js";

const root = join(import.meta.dirname, "../../..");
const row = /^\| `(?<field>\w+)` \| (?<source>[^|]+) \| (?:`(?<path>[^`]+)` )?\|$/;

test("the table of a flow's fields has each field once, in words, with a test that exists", () => {
  const lines = readFileSync(join(root, "docs/flow-fields.md"), "utf8").split("\n");
  const rows = lines.filter((line) => line.startsWith("| `")).map((line) => row.exec(line)?.groups ?? { field: `not a row: ${line}` });
  const fields = FlowSchema.fields.map(({ name }) => name);
  assert.deepEqual(rows.map(({ field }) => field).sort(), fields.sort());
  for (const { field, path } of rows) {
    if (path === undefined) assert.equal(field, "extensions", "has no test");
    else assert.ok(existsSync(join(root, path.includes("/") ? path : `domain/flow/src/${path}`)), `${path} of ${field} does not exist`);
  }
});
