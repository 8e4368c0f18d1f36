import assert from "node:assert/strict";
import { test } from "node:test";
import { Columns, stackedRows, tableText } from "./table.ts";

test("columns are as wide as their widest cell, and nothing follows the last", () => {
  const rows = [["A", "LONG NAME", "C"], ...stackedRows(["1", ["x", "y"], ""]), ["123456", "", "z"]];
  assert.equal(tableText(rows), "A        LONG NAME   C\n1        x\n         y\n123456               z\n");
});

test("what comes from pods cannot steer the terminal", () => {
  assert.equal(tableText([["\u001b[2Jx\u009b\n", "b"]]), "\\x1b[2Jx\\x9b\\x0a   b\n");
});

test("rows that come one by one are held until they are taken", () => {
  const columns = new Columns();
  for (const cells of [
    ["A", "B"],
    ["\u001b[31mred\u001b[0m", ""],
  ])
    columns.add(cells);
  assert.equal(columns.take(), "A              B\n\u001b[31mred\u001b[0m\n");
  assert.equal(columns.take(), "");
  for (let count = 0; count < 10_000; count += 1) columns.add([]);
  assert.ok(columns.isFull);
});
