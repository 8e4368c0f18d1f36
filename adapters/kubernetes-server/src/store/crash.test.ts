import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import Database from "better-sqlite3";
import { writeForEver } from "../testing/crash-writer.ts";
import { openSqliteStore } from "./sqlite-store.ts";

const runs = 20;

/** Starts a writer, waits until it has acknowledged some writes, kills it without warning, and returns what it had acknowledged. */
async function writeUntilKilled(path: string, run: number): Promise<ReadonlyMap<string, number>> {
  const module = pathToFileURL(join(import.meta.dirname, "..", "testing", "crash-writer.ts")).href;
  const script = `const { ${writeForEver.name} } = await import(${JSON.stringify(module)}); await ${writeForEver.name}(${JSON.stringify(path)}, ${run});`;
  const writer = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: ["ignore", "pipe", "inherit"] });
  const acknowledged = new Map<string, number>();
  // Another moment each time, in the middle of whatever the writer is doing.
  const enough = 40 + run * 7;
  let rest = "";
  for await (const chunk of writer.stdout as AsyncIterable<Buffer>) {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [key = "", revision] = line.split(" ");
      acknowledged.set(key, Number(revision));
    }
    if (acknowledged.size >= enough) writer.kill("SIGKILL");
  }
  return acknowledged;
}

test(`every acknowledged write outlives ${runs} sudden deaths, and the revision never goes back`, async () => {
  const folder = mkdtempSync(join(tmpdir(), "cilium-ts-crash-"));
  const path = join(folder, "state.db");
  const all = new Map<string, number>();
  let highest = 0;
  try {
    for (let run = 0; run < runs; run += 1) {
      const acknowledged = await writeUntilKilled(path, run);
      assert.ok(acknowledged.size > 0);
      for (const [key, revision] of acknowledged) {
        assert.ok(revision > highest, `revision ${revision} after ${highest}`);
        all.set(key, revision);
      }
      highest = Math.max(...acknowledged.values());
      await using store = openSqliteStore({ path });
      assert.ok(store.revision >= highest);
      highest = store.revision;
      for (const [key, revision] of all) assert.equal(store.get(key)?.revision, revision, key);
    }
    const database = new Database(path);
    assert.deepEqual(database.pragma("integrity_check"), [{ integrity_check: "ok" }]);
    database.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
