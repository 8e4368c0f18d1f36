import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createMemoryStore } from "../testing/memory-store.ts";
import { checkStoreContract } from "../testing/store-contract.ts";
import { openSqliteStore } from "./sqlite-store.ts";

const folder = mkdtempSync(join(tmpdir(), "cilium-ts-store-"));
after(() => rmSync(folder, { recursive: true }));
let count = 0;
function freshPath(): string {
  count += 1;
  return join(folder, `${count}.db`);
}

checkStoreContract("sqlite", async (history) => openSqliteStore({ path: freshPath(), ...(history && { history }) }));
checkStoreContract("memory", async (history) => createMemoryStore(history));

test("everything is there after opening again", async () => {
  const path = freshPath();
  {
    await using store = openSqliteStore({ path });
    await store.write({ key: "/a/b/1", expected: 0, encode: (revision) => `{"r":${revision}}`, deleted: false });
    await store.write({ key: "/a/b/2", expected: 0, encode: (revision) => `{"r":${revision}}`, deleted: false });
    await store.write({ key: "/a/b/2", expected: 2, encode: () => "{}", deleted: true });
  }
  await using store = openSqliteStore({ path });
  assert.equal(store.revision, 3);
  assert.deepEqual(store.get("/a/b/1"), { key: "/a/b/1", revision: 1, text: '{"r":1}' });
  assert.equal(store.get("/a/b/2"), undefined);
  const told = store.changes(0, 10);
  assert.equal(told.outcome === "changes" && told.changes.length, 3);
});

test("a second owner of the file is refused with a sentence", async () => {
  const path = freshPath();
  await using _store = openSqliteStore({ path });
  assert.throws(() => openSqliteStore({ path }), /is in use by another server; stop that one first/);
});

const damages: readonly [string, (bytes: Buffer) => Buffer, RegExp][] = [
  ["cut off within its first page", (bytes) => bytes.subarray(0, 2_000), /it ends after 2000 bytes/],
  ["cut off between two pages", (bytes) => bytes.subarray(0, 4_096 * (bytes.length >> 13)), /malformed/],
  ["cut off within its last page", (bytes) => bytes.subarray(0, -1_000), /it ends after \d+ bytes/],
  ["that is something else", (bytes) => Buffer.alloc(bytes.length, "x"), /not a database/],
];
for (const [name, damage, how] of damages) {
  test(`a file ${name} is refused with the way out, and left as it is`, async () => {
    const path = freshPath();
    {
      await using store = openSqliteStore({ path });
      const encode = (revision: number) => JSON.stringify({ revision, text: "x".repeat(2_000) });
      await Promise.all(
        Array.from({ length: 300 }, (_, index) => store.write({ key: `/a/b/${index}`, expected: 0, encode, deleted: false })),
      );
    }
    const bytes = damage(readFileSync(path));
    writeFileSync(path, bytes);
    const wanted = new RegExp(`${path} is damaged \\(.*${how.source}.*\\); put a backup in its place, or move it away`);
    assert.throws(() => openSqliteStore({ path }), wanted);
    assert.ok(readFileSync(path).equals(bytes));
  });
}
