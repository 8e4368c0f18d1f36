import assert from "node:assert/strict";
import { test } from "node:test";
import { textAt, valueAt } from "../../resources/column.ts";
import type { Mutable } from "../../schema/schema.ts";
import { createTestClient } from "../../testing/test-client.ts";
import { startTestServer } from "../../testing/test-server.ts";

const maps = "/api/v1/namespaces/default/configmaps";
const asMetadata = { Accept: "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json" };

interface Event {
  readonly type: string;
  readonly object: Mutable;
}

const say = ({ type, object }: Event): string => `${type} ${textAt(object, "metadata", "name")}`;

async function take(events: AsyncGenerator<Event>, count: number): Promise<Event[]> {
  const taken: Event[] = [];
  while (taken.length < count) {
    const { value, done } = await events.next();
    if (done === true) break;
    taken.push(value);
  }
  return taken;
}

test("watchers that ask differently are each told what they asked for, whatever they share", async () => {
  await using server = await startTestServer({ definitions: [] });
  const client = createTestClient(server.url);
  const start = textAt((await client.get(maps)).body, "metadata", "resourceVersion");
  const from = `watch=true&resourceVersion=${start}`;
  const rows: readonly [string, AsyncGenerator<Event>, readonly string[]][] = [
    ["all", client.watch(`${maps}?${from}`), ["ADDED a", "ADDED b", "MODIFIED b"]],
    ["all, again", client.watch(`${maps}?${from}`), ["ADDED a", "ADDED b", "MODIFIED b"]],
    ["by label", client.watch(`${maps}?${from}&labelSelector=x%3D1`), ["ADDED a", "ADDED b"]],
    ["by name", client.watch(`${maps}?${from}&fieldSelector=metadata.name%3Db`), ["ADDED b", "MODIFIED b"]],
    ["metadata", client.watch(`${maps}?${from}`, asMetadata), ["ADDED a", "ADDED b", "MODIFIED b"]],
    ["everywhere", client.watch(`/api/v1/configmaps?${from}`), ["ADDED a", "ADDED b", "MODIFIED b"]],
    ["elsewhere", client.watch(`/api/v1/namespaces/kube-system/configmaps?${from}`), ["ADDED c"]],
  ];
  const taking = rows.map(([, events, expected]) => take(events, expected.length));
  await client.post(maps, { metadata: { name: "a", labels: { x: "1" } } });
  await client.post(maps, { metadata: { name: "b" }, data: { k: "1" } });
  await client.patch(`${maps}/b`, "merge", { metadata: { labels: { x: "1" } } });
  await client.post("/api/v1/namespaces/kube-system/configmaps", { metadata: { name: "c" } });
  for (const [index, [name, events, expected]] of rows.entries()) {
    const taken = (await taking[index]) ?? [];
    assert.deepEqual(taken.map(say), expected, name);
    assert.equal(taken[0]?.object.kind, name === "metadata" ? "PartialObjectMetadata" : "ConfigMap", name);
    await events.return(undefined);
  }
});

test("who no longer matches is told of as it was, at the revision of the change", async () => {
  await using server = await startTestServer({ definitions: [] });
  const client = createTestClient(server.url);
  await client.post(maps, { metadata: { name: "a", labels: { x: "1" } }, data: { k: "before" } });
  const events = client.watch(`${maps}?watch=true&labelSelector=x%3D1`);
  await take(events, 1);
  const { body } = await client.patch(`${maps}/a`, "merge", { metadata: { labels: { x: "2" } }, data: { k: "after" } });
  const [gone] = await take(events, 1);
  assert.deepEqual(
    [gone?.type, valueAt(gone?.object, "data", "k"), textAt(gone?.object, "metadata", "labels", "x")],
    ["DELETED", "before", "1"],
  );
  assert.equal(textAt(gone?.object, "metadata", "resourceVersion"), textAt(body, "metadata", "resourceVersion"));
  await events.return(undefined);
});

test("watchers that begin together while others write miss nothing and are told nothing twice", async () => {
  await using server = await startTestServer({ definitions: [] });
  const client = createTestClient(server.url);
  const names = Array.from({ length: 1_300 }, (_, index) => `m${String(index).padStart(4, "0")}`);
  for (let at = 0; at < 1_100; at += 100)
    await Promise.all(names.slice(at, at + 100).map((name) => client.post(maps, { metadata: { name } })));
  const writing = (async () => {
    for (const name of names.slice(1_100)) await client.post(maps, { metadata: { name } });
  })();
  const watching = Array.from({ length: 12 }, async () => {
    const events = client.watch(`${maps}?watch=true&resourceVersion=0`);
    const seen = (await take(events, names.length)).map(say);
    await events.return(undefined);
    return seen;
  });
  await writing;
  for (const seen of await Promise.all(watching)) {
    assert.deepEqual(
      seen.toSorted(),
      names.map((name) => `ADDED ${name}`),
    );
  }
});

test("a bookmark never runs ahead of what happened before it, however quickly things happen", async () => {
  const watchLimits = { watchersMax: 10, watchersPerClientMax: 10, bufferedBytesMax: 10_000_000, bookmarkIntervalMs: 1 };
  await using server = await startTestServer({ definitions: [], watchLimits });
  const client = createTestClient(server.url);
  const events = client.watch(`${maps}?watch=true&allowWatchBookmarks=true&resourceVersion=0`);
  const names = Array.from({ length: 400 }, (_, index) => `m${index}`);
  const writing = (async () => {
    for (const name of names) await client.post(maps, { metadata: { name } });
  })();
  let seen = 0;
  let told = 0;
  let bookmarks = 0;
  while (told < names.length) {
    const { value } = await events.next();
    const revision = Number(textAt(value?.object, "metadata", "resourceVersion"));
    if (value?.type === "BOOKMARK") bookmarks += 1;
    else told += 1;
    assert.ok(value?.type === "BOOKMARK" ? revision >= seen : revision > seen, `${value?.type} ${revision} after ${seen}`);
    seen = revision;
  }
  assert.ok(bookmarks > 0);
  await writing;
  await events.return(undefined);
});
