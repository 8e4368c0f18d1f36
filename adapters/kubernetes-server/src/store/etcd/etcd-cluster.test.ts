import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "@cilium-ts/testing";
import { startEtcd } from "../../testing/etcd-process.ts";
import type { Change } from "../store.ts";
import { openEtcdStore } from "./etcd-store.ts";

test("the leader is killed while two servers write: acknowledged writes stay, each is told once and in order", async () => {
  await using cluster = await startEtcd(3);
  const openOne = () =>
    openEtcdStore({ endpoints: cluster.endpoints, prefix: "/x", compactAfterMs: 0, onLost: (error) => assert.fail(error) });
  await using one = await openOne();
  await using two = await openOne();
  const seen: Change[] = [];
  using _listening = two.subscribe((changes) => seen.push(...changes));
  const acknowledged = new Map<string, number>();
  let isOver = false;
  const writer = async (name: string, store: typeof one) => {
    for (let index = 0; !isOver; index += 1) {
      const key = `/a/b/${name}-${index}`;
      const result = await store
        .write({ key, expected: 0, encode: (revision) => `{"r":${revision}}`, deleted: false })
        .catch(() => undefined);
      if (result?.outcome === "written") acknowledged.set(key, result.revision);
    }
  };
  const writers = [writer("one", one), writer("two", two)];
  await eventually(() => assert.ok(acknowledged.size > 20));
  const leader = await cluster.leader();
  assert.ok(leader !== undefined);
  await leader.stop("SIGKILL");
  const atDeath = acknowledged.size;
  await eventually(() => assert.ok(acknowledged.size > atDeath + 20, `${acknowledged.size} after ${atDeath}`), { deadlineMs: 30_000 });
  isOver = true;
  await Promise.all(writers);
  await Promise.all([one.current(), two.current()]);
  for (const [key, revision] of acknowledged) assert.equal(one.get(key)?.revision, revision, key);
  const revisions = seen.map(({ revision }) => revision);
  assert.deepEqual(
    revisions,
    [...new Set(revisions)].toSorted((left, right) => left - right),
  );
  for (const [key] of acknowledged) assert.equal(seen.filter((change) => change.key === key).length, 1, key);
});
