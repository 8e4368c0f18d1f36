import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { createSimulatedClock } from "@cilium-ts/std/testing";
import { reconcile } from "./reconcile.ts";
import { type Subject, simulateReconcile } from "./reconcile-simulation.ts";
import { Table } from "./table.ts";
import type { Target } from "./target.ts";

const seeds = 600;

test(`after faults end, the world is what it should be, on ${seeds} seeds`, async () => {
  for (let seed = 0; seed < seeds; seed += 1) {
    assert.deepEqual(await simulateReconcile({ Table, reconcile }, seed), [], `seed ${seed}`);
  }
});

/** Each defect is a change to the source that the simulation must notice. */
const defects: { name: string; file: "reconcile" | "table" | "key-queue"; find: string; replacement: string }[] = [
  { name: "prunes before sync", file: "reconcile", find: "await settledOrAborted(desired.synced, signal);", replacement: "" },
  { name: "does not retry", file: "reconcile", find: "else this.#retryLater(key);", replacement: "" },
  { name: "prunes nothing", file: "reconcile", find: "for (const key of realised) if", replacement: "for (const key of []) if" },
  {
    name: "repairs no missing row",
    file: "reconcile",
    find: "for (const key of desired.keys()) if",
    replacement: "for (const key of []) if",
  },
  {
    name: "does not announce a deletion",
    file: "table",
    find: "if (this.#rows.delete(key)) this.#mark(key);",
    replacement: "this.#rows.delete(key);",
  },
  {
    name: "overlaps operations",
    file: "reconcile",
    find: "await this.#attempt(key, () => target.apply",
    replacement: "void this.#attempt(key, () => target.apply",
  },
  { name: "does not try a failed listing again", file: "reconcile", find: "onResult(undefined, toError(cause));", replacement: "return;" },
  {
    name: "hangs when aborted before sync",
    file: "reconcile",
    find: "await settledOrAborted(desired.synced, signal);",
    replacement: "await desired.synced;",
  },
  { name: "forgets the failures of a batch", file: "reconcile", find: "failure ?? failures?.get(key)", replacement: "failure" },
  { name: "takes a failed batch for done", file: "reconcile", find: "failure ?? failures?.get(key)", replacement: "failures?.get(key)" },
  {
    name: "applies what has gone meanwhile",
    file: "reconcile",
    find: "if (desired.get(key) === undefined) await this.#attempt",
    replacement: "await this.#attempt",
  },
  { name: "goes on after the abort", file: "reconcile", find: "if (this.#options.signal.aborted) return;", replacement: "" },
  { name: "loses marks made while a batch is out", file: "key-queue", find: "yield keys;", replacement: "yield keys; this.#keys.clear();" },
];

for (const { name, file, find, replacement } of defects) {
  test(`the simulation notices a reconciler that ${name}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "reconcile-defect-"));
    try {
      const subject = await defectiveSubject(folder, file, find, replacement);
      for (let seed = 0; seed < seeds; seed += 1) if ((await simulateReconcile(subject, seed)).length > 0) return;
      assert.fail(`no seed of ${seeds} noticed`);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
}

async function defectiveSubject(folder: string, file: string, find: string, replacement: string): Promise<Subject> {
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  for (const name of ["reconcile", "table", "key-queue"]) {
    let source = await readFile(new URL(`${name}.ts`, import.meta.url), "utf8");
    source = source.replaceAll('"@cilium-ts/std"', JSON.stringify(import.meta.resolve("@cilium-ts/std")));
    if (name === file) {
      assert.ok(source.includes(find), `${name}.ts no longer has the text ${JSON.stringify(find)}`);
      source = source.replace(find, replacement);
    }
    await writeFile(join(folder, `${name}.ts`), source);
  }
  const load = (name: string) => import(pathToFileURL(join(folder, `${name}.ts`)).href);
  return { Table: (await load("table")).Table, reconcile: (await load("reconcile")).reconcile };
}

interface Row {
  readonly key: string;
  readonly value: number;
}

/** A reconciler over a scripted target, and what it asked for. */
function started(target: Partial<Target<string, Row>>, table: Table<string, Row>, resyncIntervalMs = 1e9) {
  const clock = createSimulatedClock();
  const stop = new AbortController();
  const results: string[] = [];
  const running = reconcile<string, Row>({
    desired: table,
    target: { apply: async () => {}, remove: async () => {}, realised: async () => [], ...target },
    clock,
    signal: stop.signal,
    retryDelayMs: (attempt) => attempt * 100,
    resyncIntervalMs,
    batchSizeMax: 2,
    onResult: (key, failure) => results.push(`${key ?? "listing"} ${failure?.message ?? "ok"}`),
  });
  const stopped = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  return { clock, results, stopped };
}

test("a row that fails is tried again when its time comes, however often the world is listed meanwhile", async () => {
  const table = new Table<string, Row>({ name: "rows", keyOf: (row) => row.key, sources: [] });
  const attempts: number[] = [];
  const apply = async (): Promise<void> => {
    attempts.push(clock.nowMs());
    throw new Error("full");
  };
  const { clock, stopped } = started({ apply }, table, 10);
  const startMs = clock.nowMs();
  table.upsert({ key: "a", value: 1 });
  await clock.advance(650);
  assert.deepEqual(
    attempts.map((time) => time - startMs),
    [0, 0, 100, 400], // Once because it is new, and once because the first listing did not find it while that went on.
  );
  await stopped();
});

test("a thousand changes during a slow call cost one call", async () => {
  const table = new Table<string, Row>({ name: "rows", keyOf: (row) => row.key, sources: [] });
  const applied: number[] = [];
  const gate = Promise.withResolvers<void>();
  const run = started(
    {
      realised: async () => ["a"],
      apply: async (row) => {
        applied.push(row.value);
        await gate.promise;
      },
    },
    table,
  );
  table.upsert({ key: "a", value: -1 });
  await run.clock.advance(0);
  for (let value = 0; value < 1000; value += 1) table.upsert({ key: "a", value });
  gate.resolve();
  await run.clock.advance(0);
  assert.deepEqual(applied, [-1, 999]);
  await run.stopped();
});

test("batches are no larger than the limit, and removals go before additions", async () => {
  const table = new Table<string, Row>({ name: "rows", keyOf: (row) => row.key, sources: [] });
  const calls: string[] = [];
  const run = started(
    {
      realised: async () => ["a", "b", "c", "old-1", "old-2", "old-3"],
      applyBatch: async (rows) => {
        calls.push(`apply ${rows.map((row) => row.key).join(" ")}`);
        return new Map();
      },
      removeBatch: async (keys) => {
        calls.push(`remove ${keys.join(" ")}`);
        return new Map();
      },
    },
    table,
  );
  for (const key of ["old-1", "old-2", "old-3"]) table.upsert({ key, value: 0 });
  await run.clock.advance(0);
  calls.length = 0;
  for (const key of ["a", "b", "c"]) table.upsert({ key, value: 0 });
  for (const key of ["old-1", "old-2", "old-3"]) table.delete(key);
  await run.clock.advance(0);
  assert.deepEqual(calls, ["remove old-1 old-2", "remove old-3", "apply a b", "apply c"]);
  await run.stopped();
});

test("one failure of a batch is reported and tried again alone, after a growing delay", async () => {
  const table = new Table<string, Row>({ name: "rows", keyOf: (row) => row.key, sources: [] });
  let failing = true;
  const run = started(
    {
      realised: async () => ["a", "b"],
      applyBatch: async (rows) => new Map(rows.filter((row) => failing && row.key === "b").map((row) => [row.key, new Error("no room")])),
      removeBatch: async () => new Map(),
    },
    table,
  );
  for (const key of ["a", "b"]) table.upsert({ key, value: 0 });
  await run.clock.advance(250);
  assert.deepEqual(run.results, ["listing ok", "a ok", "b no room", "b no room"]);
  failing = false;
  await run.clock.advance(1000);
  assert.deepEqual(run.results.slice(4), ["b ok"]);
  await run.stopped();
});

test("a row that fails at every change has one retry under way, not one for each failure", async () => {
  const table = new Table<string, Row>({ name: "rows", keyOf: (row) => row.key, sources: [] });
  const run = started(
    {
      realised: async () => ["a"],
      apply: async () => {
        throw new Error("no room");
      },
    },
    table,
  );
  for (let value = 0; value < 100; value += 1) {
    table.upsert({ key: "a", value });
    await run.clock.advance(0);
  }
  assert.equal(run.results.filter((result) => result === "a no room").length, 100);
  assert.equal(run.clock.sleepers, 2); // The retry, and the next listing.
  await run.stopped();
});
