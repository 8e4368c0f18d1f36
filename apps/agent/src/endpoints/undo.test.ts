import assert from "node:assert/strict";
import { test } from "node:test";
import { Undo } from "./undo.ts";

test("steps are undone last first, and none when all is kept", async () => {
  const done: string[] = [];
  {
    await using undo = new Undo(() => {});
    undo.release("id", () => void done.push("id"));
    undo.add("device", async () => void done.push("device"));
  }
  assert.deepEqual(done, ["device", "id"]);
  {
    await using undo = new Undo(() => {});
    undo.add("device", () => void done.push("again"));
    undo.keep();
  }
  assert.deepEqual(done, ["device", "id"]);
});

test("a step that cannot be undone does not hold up the others, but nothing that it may still use is released", async () => {
  const done: string[] = [];
  const problems: string[] = [];
  {
    await using undo = new Undo((problem) => problems.push(problem));
    undo.release("id 7", () => void done.push("id"));
    undo.add("file", () => void done.push("file"));
    undo.add("device", () => {
      throw new Error("busy");
    });
    undo.release("lease", () => void done.push("lease"));
  }
  assert.deepEqual(done, ["lease", "file"]);
  assert.deepEqual(
    problems.map((problem) => problem.split(" ").slice(0, 4).join(" ")),
    ["device could not be", "id 7 stays taken"],
  );
});
