import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { type EtcdCluster, startEtcd } from "../../testing/etcd-process.ts";
import { checkStoreContract } from "../../testing/store-contract.ts";
import type { Change, HistoryLimits, Store, StoreError } from "../store.ts";
import { EtcdConnection } from "./connection.ts";
import { openEtcdStore } from "./etcd-store.ts";
import { decodeWatch, encodeCompact, encodeRange, encodeWatch, methods } from "./messages.ts";

let cluster: EtcdCluster;
let count = 0;
before(async () => {
  cluster = await startEtcd();
});
after(() => cluster[Symbol.asyncDispose]());

const unexpected = (error: StoreError): void => assert.fail(error);
function freshPrefix(): string {
  count += 1;
  return `/test-${count}`;
}
function open(prefix: string, history?: HistoryLimits): Promise<Store> {
  return openEtcdStore({ endpoints: cluster.endpoints, prefix, onLost: unexpected, compactAfterMs: 0, ...(history && { history }) });
}
const text = (value: string) => (revision: number) => JSON.stringify({ value, revision });
const put = (store: Store, key: string, value: string) =>
  store.write({ key, expected: store.get(key)?.revision ?? 0, encode: text(value), deleted: false });

checkStoreContract("etcd", (history) => open(freshPrefix(), history));

test("two servers on one etcd see what the other wrote, once it is current, in one order", async () => {
  const prefix = freshPrefix();
  await using one = await open(prefix);
  await using two = await open(prefix);
  const seen: Change[][] = [[], []];
  using _first = one.subscribe((changes) => seen[0]?.push(...changes));
  using _second = two.subscribe((changes) => seen[1]?.push(...changes));
  for (let round = 0; round < 50; round += 1) {
    await put(one, `/a/b/${round}`, "one");
    await two.current();
    assert.equal(two.get(`/a/b/${round}`)?.text, one.get(`/a/b/${round}`)?.text);
    await put(two, `/a/b/${round}`, "two");
  }
  await one.current();
  assert.deepEqual(seen[0], seen[1]);
  assert.equal(seen[0]?.length, 100);
});

test("of two servers that write the same object at once one wins, and no write is lost", async () => {
  const prefix = freshPrefix();
  await using one = await open(prefix);
  await using two = await open(prefix);
  let written = 0;
  const increment = async (store: Store) => {
    for (let done = 0; done < 30; ) {
      const before = store.get("/a/b/counter");
      const value = before === undefined ? 0 : Number((JSON.parse(before.text) as { value: string }).value);
      const encode = text(String(value + 1));
      const result = await store.write({ key: "/a/b/counter", expected: before?.revision ?? 0, encode, deleted: false });
      if (result.outcome === "written") {
        done += 1;
        written += 1;
      }
    }
  };
  await Promise.all([increment(one), increment(two)]);
  await one.current();
  assert.equal((JSON.parse(one.get("/a/b/counter")?.text ?? "") as { value: string }).value, String(written));
});

test("a store that is opened later has everything, in pages, and asks for a list again where it knows no history", async () => {
  const prefix = freshPrefix();
  await using writer = await open(prefix);
  await Promise.all(Array.from({ length: 1_200 }, (_, index) => put(writer, `/a/b/${index}`, "x")));
  await using store = await open(prefix);
  const listed = store.list({ prefix: "/a/b/" });
  assert.ok(listed.outcome === "listed");
  assert.equal(listed.items.length, 1_200);
  assert.deepEqual(
    listed.items.map(({ revision }) => revision),
    listed.items.map(({ text: stored }) => (JSON.parse(stored) as { revision: number }).revision),
  );
  assert.equal(store.changes(store.oldest - 1, 1).outcome, "compacted");
});

test("others may write to the same etcd", async () => {
  await using store = await open(freshPrefix());
  await using other = await open(freshPrefix());
  await put(other, "/a/b/1", "x");
  await store.current();
  assert.equal(store.revision, other.revision);
  assert.equal(store.get("/a/b/1"), undefined);
});

/** Rejects when etcd has forgotten what was at the revision. */
async function readAt(revision: number): Promise<void> {
  using connection = new EtcdConnection({ endpoints: cluster.endpoints, tls: undefined });
  await connection.call(methods.range, encodeRange({ key: "/", end: "0", limit: 1, revision }), true);
}

test("etcd's history is let go by the servers themselves, which remember enough for those who watch", async () => {
  const prefix = freshPrefix();
  const openOne = () => openEtcdStore({ endpoints: cluster.endpoints, prefix, onLost: unexpected, compactAfterMs: 50 });
  await using one = await openOne();
  await using two = await openOne();
  const start = one.revision;
  await put(one, "/a/b/1", "first");
  await eventually(async () => {
    await put(one, "/a/b/1", "next");
    await assert.rejects(readAt(start), /compacted/);
  });
  await put(two, "/a/b/2", "after");
  await one.current();
  assert.equal(one.get("/a/b/2")?.text, two.get("/a/b/2")?.text);
  const told = two.changes(start, 1);
  assert.equal(told.outcome === "changes" && told.changes[0]?.text, `{"value":"first","revision":${start + 1}}`);
});

test("what etcd refuses leaves the connection, and the watch on it, as they were", async () => {
  const prefix = freshPrefix();
  await using store = await open(prefix);
  await put(store, "/a/b/1", "x");
  using connection = new EtcdConnection({ endpoints: cluster.endpoints, tls: undefined });
  const stop = new AbortController();
  const keys: string[] = [];
  let hasEnded = false;
  const watching = connection
    .stream(
      methods.watch,
      encodeWatch(store.revision + 1),
      (message) => keys.push(...decodeWatch(message).events.map(({ item }) => item.key)),
      stop.signal,
    )
    .finally(() => {
      hasEnded = true;
    });
  await connection.call(methods.compact, encodeCompact(store.revision), true);
  await assert.rejects(connection.call(methods.compact, encodeCompact(store.revision), true), /etcd refused: .*compacted/);
  await put(store, "/a/b/2", "x");
  await eventually(() => assert.deepEqual(keys, [`${prefix}/a/b/2`]));
  assert.equal(hasEnded, false);
  stop.abort();
  await watching;
});

/** Between a store and etcd: while it is cut nothing passes, and nobody is let in. */
async function startCable(endpoint: string) {
  const { hostname, port } = new URL(endpoint);
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((from) => {
    if (isCut) return void from.destroy();
    const to = connect(Number(port), hostname);
    for (const [socket, other] of [
      [from, to],
      [to, from],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut(now: boolean) {
      isCut = now;
      if (now) for (const socket of sockets) socket.destroy();
    },
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test("a server that was cut off misses nothing, unless etcd has forgotten it meanwhile: then it says so and must start again", async () => {
  const prefix = freshPrefix();
  using cable = await startCable(cluster.endpoints[0] ?? "");
  let lost: StoreError | undefined;
  await using far = await openEtcdStore({
    endpoints: [cable.endpoint],
    prefix,
    compactAfterMs: 0,
    onLost: (error) => {
      lost = error;
    },
  });
  await using near = await openEtcdStore({ endpoints: cluster.endpoints, prefix, onLost: unexpected, compactAfterMs: 20 });
  const seen: string[] = [];
  using _listening = far.subscribe((changes) => seen.push(...changes.map(({ key }) => key)));
  const before = far.revision;
  cable.cut(true);
  await put(near, "/a/b/quick", "x");
  await assert.rejects(put(far, "/a/b/meanwhile", "x"), /etcd/);
  cable.cut(false);
  await eventually(() => assert.deepEqual(seen, ["/a/b/quick"]));
  assert.equal(lost, undefined);
  cable.cut(true);
  await eventually(async () => {
    await put(near, "/a/b/long", "x");
    await assert.rejects(readAt(before + 1), /compacted/);
  });
  cable.cut(false);
  await eventually(() => assert.match(lost?.message ?? "", /etcd has forgotten what happened after revision \d+.*start the server again/));
  await using again = await open(prefix);
  assert.equal(again.get("/a/b/long")?.text, near.get("/a/b/long")?.text);
});

test("an etcd that is not there is named", async () => {
  const nowhere = openEtcdStore({ endpoints: ["http://127.0.0.1:1"], prefix: "/x", onLost: unexpected });
  await assert.rejects(nowhere, /cannot read from etcd at http:\/\/127\.0\.0\.1:1/);
});

test("a restart of etcd is survived: writes fail meanwhile, and nothing that was acknowledged is lost", async () => {
  const [member] = cluster.members;
  const prefix = freshPrefix();
  await using store = await open(prefix);
  const seen: Change[] = [];
  using _listening = store.subscribe((changes) => seen.push(...changes));
  await put(store, "/a/b/before", "x");
  await member?.stop("SIGKILL");
  await assert.rejects(put(store, "/a/b/meanwhile", "x"), /etcd/);
  assert.equal(store.get("/a/b/before")?.revision, store.revision, "what is known can still be read");
  member?.start();
  await eventually(async () => {
    const result = await put(store, "/a/b/after", "x");
    assert.equal(result.outcome, "written");
  });
  await using fresh = await open(prefix);
  assert.ok(fresh.get("/a/b/before") !== undefined);
  assert.deepEqual(
    seen.map(({ key }) => key).filter((key) => key !== "/a/b/meanwhile"),
    ["/a/b/before", "/a/b/after"],
  );
});
