import assert from "node:assert/strict";
import { test } from "node:test";
import type { Change, HistoryLimits, Store } from "../store/store.ts";

/** What every store must do. `open` gives an empty one each time. */
export function checkStoreContract(name: string, open: (history?: HistoryLimits) => Promise<Store>): void {
  const text = (value: string) => (revision: number) => JSON.stringify({ value, revision });
  const put = (store: Store, key: string, value: string, expected = store.get(key)?.revision ?? 0) =>
    store.write({ key, expected, encode: text(value), deleted: false });
  const remove = (store: Store, key: string) =>
    store.write({ key, expected: store.get(key)?.revision ?? 0, encode: text("gone"), deleted: true });

  test(`${name}: a write gets the next revision, and is seen and durable when it is acknowledged`, async () => {
    await using store = await open();
    const start = store.revision;
    assert.deepEqual(await put(store, "/a/b/one", "1"), {
      outcome: "written",
      revision: start + 1,
      text: `{"value":"1","revision":${start + 1}}`,
    });
    assert.deepEqual(store.get("/a/b/one"), { key: "/a/b/one", revision: start + 1, text: `{"value":"1","revision":${start + 1}}` });
    await put(store, "/a/b/one", "2");
    assert.deepEqual([store.revision, store.durable], [start + 2, start + 2]);
    await store.current();
    assert.equal(store.get("/a/b/one")?.revision, start + 2);
  });

  test(`${name}: a writer who read something older gets a conflict and changes nothing`, async () => {
    await using store = await open();
    await put(store, "/a/b/one", "1");
    const { revision } = store;
    assert.deepEqual(await put(store, "/a/b/one", "x", 0), { outcome: "conflict", revision });
    assert.deepEqual(await put(store, "/a/b/two", "x", 7), { outcome: "conflict", revision: 0 });
    assert.deepEqual(await remove(store, "/a/b/two"), { outcome: "conflict", revision: 0 });
    assert.equal(store.revision, revision);
  });

  test(`${name}: lists a prefix in key order, in pages, and only that prefix`, async () => {
    await using store = await open();
    for (const key of ["/a/b/x/2", "/a/b/y/1", "/a/b/x/1", "/a/bb/x/1", "/a/a/x/1"]) await put(store, key, key);
    const keys = (range: Parameters<Store["list"]>[0]) => {
      const result = store.list(range);
      assert.equal(result.outcome, "listed");
      return [result.items.map(({ key }) => key), result.remaining];
    };
    assert.deepEqual(keys({ prefix: "/a/b/" }), [["/a/b/x/1", "/a/b/x/2", "/a/b/y/1"], 0]);
    assert.deepEqual(keys({ prefix: "/a/b/x/" }), [["/a/b/x/1", "/a/b/x/2"], 0]);
    assert.deepEqual(keys({ prefix: "/a/b/", limit: 1 }), [["/a/b/x/1"], 2]);
    assert.deepEqual(keys({ prefix: "/a/b/", limit: 2, after: "/a/b/x/1" }), [["/a/b/x/2", "/a/b/y/1"], 0]);
  });

  test(`${name}: lists the state of an earlier revision`, async () => {
    await using store = await open();
    const start = store.revision;
    await put(store, "/a/b/1", "one");
    await put(store, "/a/b/2", "two");
    const before = store.revision;
    await put(store, "/a/b/1", "changed");
    await remove(store, "/a/b/2");
    await put(store, "/a/b/3", "three");
    const result = store.list({ prefix: "/a/b/", revision: before });
    assert.equal(result.outcome, "listed");
    assert.deepEqual(result.items, [
      { key: "/a/b/1", revision: start + 1, text: `{"value":"one","revision":${start + 1}}` },
      { key: "/a/b/2", revision: start + 2, text: `{"value":"two","revision":${start + 2}}` },
    ]);
  });

  test(`${name}: tells changes live and again from any revision, with what was there before`, async () => {
    await using store = await open();
    const seen: Change[] = [];
    using _listening = store.subscribe((changes) => seen.push(...changes));
    const start = store.revision;
    await put(store, "/a/b/1", "one");
    await put(store, "/a/b/1", "two");
    await remove(store, "/a/b/1");
    await put(store, "/a/b/1", "again");
    await store.current();
    assert.deepEqual(
      seen.map(({ revision, previous, deleted }) => [revision - start, previous, deleted]),
      [
        [1, undefined, false],
        [2, `{"value":"one","revision":${start + 1}}`, false],
        [3, `{"value":"two","revision":${start + 2}}`, true],
        [4, undefined, false],
      ],
    );
    await put(store, "/a/bb/1", "another prefix");
    const again = store.changes(start + 1, 2, "/a/b/");
    assert.equal(again.outcome, "changes");
    assert.deepEqual(
      again.changes.map(({ key, revision, text: after, previous, deleted }) => ({ key, revision, text: after, previous, deleted })),
      seen.slice(1, 3).map(({ key, revision, text: after, previous, deleted }) => ({ key, revision, text: after, previous, deleted })),
    );
  });

  test(`${name}: forgets old history but never what is current`, async () => {
    await using store = await open({ revisionsMax: 1_000, sizeBytesMax: 1_000_000 });
    const kept = await put(store, "/a/b/kept", "kept");
    await put(store, "/a/b/deleted", "x");
    await remove(store, "/a/b/deleted");
    // Seven keys at a time, so that writes share what makes them durable.
    for (let index = 0; index < 3_000; index += 7)
      await Promise.all(Array.from({ length: 7 }, (_, key) => put(store, `/a/b/${key}`, String(index))));
    assert.ok(store.oldest > 0 && store.revision - store.oldest <= 1_600, `oldest ${store.oldest} of ${store.revision}`);
    assert.equal(store.changes(store.oldest - 1, 10).outcome, "compacted");
    assert.equal(store.list({ prefix: "/a/b/", revision: store.oldest - 1 }).outcome, "compacted");
    assert.equal(store.changes(store.oldest, 10_000).outcome, "changes");
    const all = store.list({ prefix: "/a/b/" });
    assert.equal(all.outcome, "listed");
    assert.equal(all.items.length, 8);
    assert.equal(store.get("/a/b/kept")?.revision, kept.revision);
    const recent = store.list({ prefix: "/a/b/", revision: store.oldest });
    assert.equal(recent.outcome, "listed");
    assert.equal(recent.items.length, 8);
  });

  test(`${name}: the history is bounded in bytes too`, async () => {
    await using store = await open({ revisionsMax: 100_000, sizeBytesMax: 100_000 });
    for (let index = 0; index < 3_000; index += 10)
      await Promise.all(Array.from({ length: 10 }, (_, key) => put(store, `/a/b/${key}`, "x".repeat(1_000))));
    assert.ok(store.revision - store.oldest < 1_200, `oldest ${store.oldest} of ${store.revision}`);
  });
}
