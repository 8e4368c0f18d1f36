import assert from "node:assert/strict";
import { mkdir, mkdtempDisposable, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { generate } from "./generate.ts";
import { filesBelow, findStaleFiles, refreshFolder } from "./generated-folder.ts";

test("the generated files in the repository are what the generators make of its sources", async () => {
  const lines: string[] = [];
  const current = await generate({ check: true, onLine: (line) => lines.push(line) });
  assert.ok(current, lines.join("\n"));
});

test("missing, outdated and left-over files are found, and refreshing settles exactly these", async () => {
  await using temporary = await mkdtempDisposable(join(tmpdir(), "generated-"));
  const root = temporary.path;
  const place = (name: string): string => join(root, "gen", name);
  await mkdir(place("old/deep"), { recursive: true });
  for (const [name, text] of [
    ["same.ts", "same"],
    ["changed.ts", "before"],
    ["old/deep/gone.ts", "gone"],
  ] as const)
    await writeFile(place(name), text);
  const before = (await stat(place("same.ts"))).mtimeMs;
  const folder = {
    path: "gen",
    files: new Map([
      ["same.ts", "same"],
      ["changed.ts", "after"],
      ["new/file.ts", "new"],
    ]),
  };

  const expected = [
    { path: "gen/changed.ts", reason: "outdated" },
    { path: "gen/new/file.ts", reason: "missing" },
    { path: "gen/old/deep/gone.ts", reason: "left over" },
  ];
  assert.deepEqual(await findStaleFiles(root, folder), expected);
  assert.equal(await readFile(place("changed.ts"), "utf8"), "before");

  assert.deepEqual(await refreshFolder(root, folder), expected);
  assert.deepEqual(await findStaleFiles(root, folder), []);
  assert.deepEqual(await filesBelow(join(root, "gen")), ["changed.ts", "new/file.ts", "same.ts"]);
  assert.equal((await stat(place("same.ts"))).mtimeMs, before);
});
