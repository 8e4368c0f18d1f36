import assert from "node:assert/strict";
import { test } from "node:test";
import { Table } from "./table.ts";

interface Row {
  readonly key: string;
  readonly value: number;
}

function createTable(sources: string[] = []): Table<string, Row> {
  return new Table<string, Row>({ name: "rows", keyOf: (row) => row.key, sources });
}

/** The keys marked since the last call. */
async function marked(queue: { size: number; batches(signal: AbortSignal): AsyncGenerator<ReadonlySet<string>, void> }): Promise<string[]> {
  if (queue.size === 0) return [];
  for await (const keys of queue.batches(new AbortController().signal)) return [...keys];
  return [];
}

test("a watcher sees every present key, then each key that changes or goes", async () => {
  const table = createTable();
  table.upsert({ key: "a", value: 1 });
  using queue = table.watch();
  assert.deepEqual(await marked(queue), ["a"]);
  table.upsert({ key: "b", value: 1 });
  table.upsert({ key: "a", value: 2 });
  table.upsert({ key: "b", value: 2 });
  table.delete("a");
  assert.deepEqual(await marked(queue), ["b", "a"]);
  assert.equal(table.get("a"), undefined);
  assert.equal(table.get("b")?.value, 2);
});

test("deleting what is not there wakes nobody", async () => {
  const table = createTable();
  using queue = table.watch();
  table.delete("a");
  assert.equal(queue.size, 0);
});

test("a closed watcher is told nothing more", () => {
  const table = createTable();
  const queue = table.watch();
  queue[Symbol.dispose]();
  table.upsert({ key: "a", value: 1 });
  assert.equal(queue.size, 0);
});

test("rows cannot be changed in place", () => {
  const table = createTable();
  table.upsert({ key: "a", value: 1 });
  assert.throws(() => Object.assign(table.get("a") ?? {}, { value: 2 }), TypeError);
});

test("with an equality, an equal row wakes nobody and a different one does", () => {
  const table = new Table<string, Row>({
    name: "rows",
    keyOf: (row) => row.key,
    sources: [],
    equals: (one, other) => one.value === other.value,
  });
  table.upsert({ key: "a", value: 1 });
  using queue = table.watch();
  const before = queue.size;
  table.upsert({ key: "a", value: 1 });
  table.delete("b");
  assert.equal(queue.size, before);
  table.upsert({ key: "b", value: 1 });
  assert.equal(queue.size, before + 1);
});

test("a table is synced once each source has spoken, and says whom it waits for", async () => {
  const table = createTable(["one", "two"]);
  let synced = false;
  void table.synced.then(() => {
    synced = true;
  });
  table.markSynced("one");
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(synced, false);
  assert.deepEqual(table.pendingSources, ["two"]);
  table.markSynced("two");
  await table.synced;
});

test("a table without sources is synced from the start", async () => {
  await createTable().synced;
});

test("a source that was not declared, or speaks twice, is our own mistake", () => {
  const table = createTable(["one"]);
  assert.throws(() => table.markSynced("two"), /table rows: source two is unknown/);
  table.markSynced("one");
  assert.throws(() => table.markSynced("one"), /already synced/);
});
