import assert from "node:assert/strict";
import { test } from "node:test";
import type { IpcacheMap } from "@cilium-ts/datapath";
import { IpcacheTable } from "./ipcache-table.ts";

interface Row {
  readonly prefix: string;
  readonly identity: number;
  readonly tunnelEndpoint?: string | undefined;
}

/** A map that can refuse its next write. */
function createMap(): { map: IpcacheMap; rows: Map<string, Row>; refuse: () => void } {
  const rows = new Map<string, Row>();
  let refused = false;
  const check = (): void => {
    if (!refused) return;
    refused = false;
    throw new Error("ENOSPC");
  };
  const map = {
    upsert(row: Row) {
      check();
      rows.set(row.prefix, row);
      return true;
    },
    delete(prefix: string) {
      check();
      rows.delete(prefix);
    },
    rows: () => [...rows.values()],
  };
  const refuse = (): void => {
    refused = true;
  };
  return { map: map as unknown as IpcacheMap, rows, refuse };
}

test("the kernel knows a change in the turn in which it is made", () => {
  const { map, rows } = createMap();
  const changes: string[] = [];
  const table = new IpcacheTable(map, ({ key, after }) => changes.push(`${key} ${after?.identity ?? "-"}`));
  table.upsert("10.0.1.2/32", "local", 300);
  table.upsert("10.0.1.2/32", "custom-resource", 301);
  assert.equal(rows.get("10.0.1.2/32")?.identity, 300);
  table.remove("10.0.1.2/32", "local");
  assert.equal(rows.get("10.0.1.2/32")?.identity, 301);
  table.remove("10.0.1.2/32", "custom-resource");
  assert.deepEqual([rows.size, changes], [0, ["10.0.1.2/32 300", "10.0.1.2/32 301", "10.0.1.2/32 -"]]);
});

test("what the kernel refuses stays wanted, and what is wrong in it is found", async () => {
  const { map, rows, refuse } = createMap();
  const table = new IpcacheTable(map, () => {});
  const signal = new AbortController().signal;
  refuse();
  table.upsert("10.0.1.2/32", "local", 300);
  assert.deepEqual([rows.size, table.table.get("10.0.1.2/32")?.identity], [0, 300]);
  table.upsert("10.0.1.3/32", "local", 301);
  table.upsert("10.0.2.3/32", "custom-resource", 302, "192.0.2.2");
  rows.set("192.0.2.0/24", { prefix: "192.0.2.0/24", identity: 9 }); // Of an earlier run.
  rows.set("10.0.1.3/32", { prefix: "10.0.1.3/32", identity: 7 });
  rows.set("10.0.2.3/32", { prefix: "10.0.2.3/32", identity: 302 });
  assert.deepEqual([...(await table.target.realised(signal))], ["192.0.2.0/24"], "neither what lacks nor what has drifted");
});

test("it is known whether the kernel has been told", async () => {
  const { map, refuse } = createMap();
  const table = new IpcacheTable(map, () => {});
  const prefix = "192.0.2.1/32";
  refuse();
  table.upsert(prefix, "names", 300);
  assert.deepEqual([table.isRealised(prefix), table.isRealised("192.0.2.2/32")], [false, true]);
  await table.target.apply(table.table.get(prefix) ?? assert.fail(), new AbortController().signal);
  assert.equal(table.isRealised(prefix), true);
  refuse();
  table.upsert(prefix, "names", 301);
  table.upsert(prefix, "names", 302);
  assert.equal(table.isRealised(prefix), true);
});

test("a row is written once, and again only when somebody has changed it in the kernel", async () => {
  const { map, rows } = createMap();
  let writes = 0;
  const upsert = map.upsert.bind(map);
  map.upsert = (row) => {
    writes += 1;
    return upsert(row);
  };
  const table = new IpcacheTable(map, () => {});
  const signal = new AbortController().signal;
  const apply = async (): Promise<void> => {
    const row = table.table.get("10.0.1.2/32");
    if (row !== undefined) await table.target.apply(row, signal);
  };
  table.upsert("10.0.1.2/32", "local", 300);
  await apply();
  assert.equal(writes, 1);
  rows.clear();
  await apply();
  assert.deepEqual([writes, rows.size], [2, 1]);
  table.upsert("10.0.1.2/32", "local", 301);
  rows.clear();
  assert.deepEqual(await table.target.realised(signal), []);
  await apply();
  assert.deepEqual([writes, rows.size], [4, 1], "what the listing missed is written even before the reconciler came to it");
});
