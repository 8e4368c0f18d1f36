import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { FlowRing } from "@cilium-ts/flow";
import { buildPacket, buildTrace, frameRecords, sampleContext } from "@cilium-ts/flow/testing";
import { systemClock } from "@cilium-ts/std";
import { createRandom, eventually } from "@cilium-ts/testing";
import { FlowStore } from "./flow-store.ts";

const packet = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", tcp: { sourcePort: 40_000, destinationPort: 80, flags: 2 } });
const rounds = process.env.CILIUM_TS_LONG === "1" ? 60 : 4;

function openStore(directory: string): { readonly ring: FlowRing; readonly store: FlowStore } {
  const ring = new FlowRing({ capacity: 4_095, instance: randomBytes(9) });
  const ages = { sizeBytesMax: 1e9, ageMsMax: 1e15 };
  // Small blocks, so that one is being written at most moments.
  const settings = { directory, ...ages, traffic: ages, blockBytes: 131_072 };
  return { ring, store: new FlowStore({ ...settings, ring, context: sampleContext(), clock: systemClock, onProblem: console.error }) };
}

/** Event n of a run has n as its time. */
async function keepUntilKilled(directory: string): Promise<void> {
  const { ring, store } = openStore(directory);
  void store.run(new AbortController().signal);
  await store.blocks(); // While what earlier runs left is read nothing is written, and blocks as small as these do not wait for long.
  for (let next = 0; ; next += 200) {
    const records = Array.from({ length: 200 }, (_, index) => buildTrace({ timeNs: next + index, packet, point: 0, reason: 0 }));
    ring.append(frameRecords(records));
    if (store.counts.stored > 2_000) process.send?.("keeping");
    await delay(5);
  }
}

/** Of each run the times of its events, oldest run first. */
async function readRuns(directory: string): Promise<Map<string, number[]>> {
  const { store } = openStore(directory);
  const stop = new AbortController();
  const running = store.run(stop.signal);
  const runs = new Map<string, number[]>();
  for (const block of await store.blocks()) {
    const { events } = await block.load();
    const times = runs.get(block.run) ?? [];
    for (let index = 0; index < events.count; index += 1) times.push(events.timeNsOf(index));
    if (events.count > 0) runs.set(block.run, times);
  }
  stop.abort();
  await running;
  assert.deepEqual([store.counts.damaged, store.counts.failures], [0, 0]);
  return runs;
}

if (process.argv[2] === "keep") await keepUntilKilled(process.argv[3] ?? "");
else {
  test("killed at any moment, an agent leaves what it had kept, without a hole, and nothing of before is harmed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "flow-kill-"));
    const directory = join(folder, "history");
    const random = createRandom(7);
    try {
      let before = new Map<string, number[]>();
      for (let round = 1; round <= rounds; round += 1) {
        const child = fork(import.meta.filename, ["keep", directory], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
        await once(child, "message", { signal: AbortSignal.timeout(60_000) });
        await delay(random.below(1_500));
        const exited = once(child, "exit");
        child.kill("SIGKILL");
        await exited;
        const runs = await eventually(() => readRuns(directory));
        assert.equal(runs.size, round);
        const [newest = []] = [...runs.values()].slice(-1);
        assert.ok(newest.length > 2_000, `${newest.length} events are kept`);
        assert.deepEqual(
          newest,
          newest.map((_, index) => index),
        );
        for (const [run, times] of before) assert.deepEqual(runs.get(run), times);
        before = runs;
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
