import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FlowRing } from "@cilium-ts/flow";
import { buildDrop, buildPacket, buildTrace, frameRecords, sampleContext } from "@cilium-ts/flow/testing";
import { GrpcConnection, grpcHeaderBytes, observerpb, startHubble } from "@cilium-ts/observer";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { FlowStore } from "./flow-store.ts";

const isLong = process.env.CILIUM_TS_LONG === "1";
const durationMs = isLong ? 600_000 : 10_000;
const batchEvents = 1_000;
/** What one process cannot deliver to four clients. */
const batchesPerSecond = 150;
const memoryGrowthMax = 64e6;
/** What is kept at most. So little that the slow find that the disk has lost what they missed, too. */
const historyBytesMax = 400_000;
const packet = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", tcp: { sourcePort: 40_000, destinationPort: 80, flags: 2 } });

/** Frames whose times are made those of the moment. */
function createBatch(): () => Uint8Array {
  const records = Array.from({ length: batchEvents }, (_, index) => {
    const common = { timeNs: 0, reporter: 11, sourceIdentity: 1001, destinationIdentity: 1002, packet };
    return index % 10 === 0 ? buildDrop({ ...common, reason: 133 }) : buildTrace({ ...common, point: 0, reason: 0, ifindex: 12 });
  });
  const frames = frameRecords(records);
  const view = new DataView(frames.buffer);
  return () => {
    const nowNs = process.hrtime.bigint();
    for (let at = 0; at < frames.length; at += 8 + ((view.getUint32(at, true) + 7) & ~7)) view.setBigUint64(at + 8, nowNs, true);
    return frames;
  };
}

/** What a client got: flows, and losses that it was told of. */
class Reader {
  flows = 0;
  lost = 0;
  /** Between two pieces of what it reads. */
  pauseMs: number;

  constructor(pauseMs: number) {
    this.pauseMs = pauseMs;
  }

  get total(): number {
    return this.flows + this.lost;
  }

  async read(address: string, request: MessageInitShape<typeof observerpb.GetFlowsRequestSchema>, signal: AbortSignal): Promise<void> {
    await using connection = await GrpcConnection.open({ address }, { timeoutMs: 5_000, signal });
    const message = toBinary(observerpb.GetFlowsRequestSchema, create(observerpb.GetFlowsRequestSchema, request));
    for await (const frames of connection.stream("/observer.Observer/GetFlows", message, { signal })) {
      for (const frame of frames) {
        // A flow is field 1, a loss field 3: only losses need be read.
        if (frame[grpcHeaderBytes] === 0x0a) this.flows += 1;
        else {
          const { responseTypes } = fromBinary(observerpb.GetFlowsResponseSchema, frame.subarray(grpcHeaderBytes));
          if (responseTypes.case === "lostEvents") this.lost += Number(responseTypes.value.numEventsLost);
        }
      }
      if (this.pauseMs > 0) await delay(this.pauseMs);
    }
  }
}

test(`more events than can be read, for ${durationMs / 1_000} s: what was not delivered was told, by number, and memory stays`, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "flow-soak-"));
  await using opened = new AsyncDisposableStack();
  opened.defer(() => rmSync(folder, { recursive: true, force: true }));
  const ring = new FlowRing({ capacity: 4_095, instance: new Uint8Array(9) });
  const context = sampleContext();
  const settings = {
    directory: join(folder, "history"),
    sizeBytesMax: historyBytesMax,
    ageMsMax: 864e8,
    traffic: { sizeBytesMax: 8e6, ageMsMax: 864e8 },
  };
  const store = new FlowStore({ ...settings, ring, context, clock: systemClock, onProblem: assert.fail });
  const stop = new AbortController();
  const running = store.run(stop.signal);
  opened.defer(() => stop.abort());
  const address = `unix://${join(folder, "hubble.sock")}`;
  const server = opened.use(await startHubble({ socketPath: join(folder, "hubble.sock"), ring, history: store, context, version: "soak" }));
  const readers = [0, 0, 20, 500].map((pauseMs) => new Reader(pauseMs));
  const leave = new AbortController();
  opened.defer(() => leave.abort());
  const reading = readers.map((reader) => reader.read(address, { follow: true }, leave.signal));
  await eventually(() => assert.equal(server.streamCount, readers.length));
  const memory: number[] = [];
  const batch = createBatch();
  const startedMs = performance.now();
  let produced = 0;
  for (let elapsedMs = 0; elapsedMs < durationMs; elapsedMs = performance.now() - startedMs) {
    for (; produced < ((elapsedMs * batchesPerSecond) / 1_000) * batchEvents; produced += batchEvents) ring.append(batch());
    if (memory.length < elapsedMs / 250) memory.push(process.memoryUsage().rss);
    await delay(4);
  }
  for (const reader of readers) reader.pauseMs = 0;
  await eventually(
    () =>
      assert.deepEqual(
        readers.map(({ total }) => total),
        readers.map(() => produced),
      ),
    { deadlineMs: 60_000 },
  );
  leave.abort();
  await Promise.all(reading);
  const past = new Reader(0);
  const number = 200_000n; // Everything would take as long as it took to happen.
  await past.read(address, { first: true, number }, AbortSignal.timeout(300_000));
  const { sizeBytes } = store;
  stop.abort();
  await running;
  assert.equal(store.counts.stored + store.counts.lost, produced);
  assert.equal(past.flows, Number(number));
  const quarter = Math.floor(memory.length / 4);
  const [early, late] = [Math.max(...memory.slice(quarter, 2 * quarter)), Math.max(...memory.slice(-quarter))];
  const told = readers.map(({ flows, lost }) => `${flows} delivered + ${lost} told as lost`).join("; ");
  t.diagnostic(`${produced} produced in ${Math.round((performance.now() - startedMs) / 1_000)} s: ${told}`);
  t.diagnostic(`history: ${store.counts.stored} kept + ${store.counts.lost} lost, ${past.flows} read + ${past.lost} told as lost`);
  t.diagnostic(`memory: ${(early / 1e6).toFixed(0)} MB in the second quarter, ${(late / 1e6).toFixed(0)} MB in the last`);
  t.diagnostic(`size of the history: ${(sizeBytes / 1e6).toFixed(1)} MB of ${historyBytesMax / 1e6}`);
  assert.ok(sizeBytes <= historyBytesMax, `the history has ${sizeBytes} bytes`);
  assert.ok(late - early < memoryGrowthMax, `memory grew from ${early} to ${late}`);
});
