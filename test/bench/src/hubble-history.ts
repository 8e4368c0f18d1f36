import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type ContextHistory, FlowRing } from "@cilium-ts/flow";
import { buildDrop, buildPacket, buildTrace, frameRecords, sampleContext, sampleEndpoint } from "@cilium-ts/flow/testing";
import { FlowStore } from "@cilium-ts/flow-store";
import { GrpcConnection, grpcHeaderBytes, historypb, observerpb, readResponseFields, startHubble } from "@cilium-ts/observer";
import { createRow, type Row, type Samples } from "./report.ts";

const eventCount = 10_000_000;
const batchEvents = 1_000;
const spanNs = 3 * 3_600e9;
const podCount = 100;
const signal = new AbortController().signal;

/** Ten million flows of three hours: what it takes to keep them, and to find some. */
export async function benchHistory(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "bench-history-"));
  const rows: Row[] = [];
  const add = (samples: Samples): void => void rows.push(createRow(samples));
  try {
    await using kept = await keepFlows(folder, add);
    const oldest = { seconds: kept.startSeconds, nanos: 0 };
    const search = async (name: string, request: MessageInitShape<typeof observerpb.GetFlowsRequestSchema>): Promise<void> => {
      say(`search: ${name}`);
      const message = toBinary(observerpb.GetFlowsRequestSchema, create(observerpb.GetFlowsRequestSchema, request));
      const startedMs = performance.now();
      let flows = 0;
      for await (const frames of kept.connection.stream("/observer.Observer/GetFlows", message, { signal }))
        for (const frame of frames) flows += readResponseFields(frame, grpcHeaderBytes).kind === 1 ? 1 : 0;
      add({ name: `history-${name}`, unit: "ms", ours: [performance.now() - startedMs] });
      console.error(`dev bench hubble: ${name}: ${flows} flows`);
    };
    await search("last-20", { number: 20n });
    await search("since-10m-first-1000", { since: { seconds: kept.startSeconds + 9_000n, nanos: 0 }, number: 1_000n });
    await search("pod-of-one-minute", { since: oldest, whitelist: [{ sourcePod: ["rare/"] }] });
    await search("drops-of-a-pod", { number: 100n, whitelist: [{ verdict: [2], destinationPod: ["ns7/pod-17"] }] });
    await search("last-20-of-what-never-was", { number: 20n, whitelist: [{ sourceIdentity: [7] }] });
    await search("all-10-million-looked-at", { since: oldest, whitelist: [{ tcpFlags: [{ URG: true }] }] });
    await sums(kept.connection, add);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return rows;
}

type Add = (samples: Samples) => void;

async function sums(connection: GrpcConnection, add: Add): Promise<void> {
  const request = toBinary(historypb.GetTrafficRequestSchema, create(historypb.GetTrafficRequestSchema, { number: 20 }));
  const startedMs = performance.now();
  await connection.unary("/history.History/GetTraffic", historypb.GetTrafficResponseSchema, { signal, request });
  add({ name: "history-traffic-of-3-hours", unit: "ms", ours: [performance.now() - startedMs] });
}

async function keepFlows(folder: string, add: Add) {
  const ring = new FlowRing({ capacity: 65_535, instance: new Uint8Array(9) });
  const context = contextOfPods();
  const clock = hastyClock(Number(context.wallClockOffsetNs / 1_000_000n));
  const settings = {
    directory: join(folder, "history"),
    sizeBytesMax: 4e9,
    ageMsMax: 864e5,
    traffic: { sizeBytesMax: 1e8, ageMsMax: 864e5 },
  };
  const store = new FlowStore({ ...settings, ring, context, clock, onProblem: say });
  const stop = new AbortController();
  const running = store.run(stop.signal);
  say(`keep ${eventCount} flows`);
  const cpu = process.cpuUsage();
  const [frames, patch] = batchOfPods();
  for (let kept = 0; kept < eventCount; kept += batchEvents) {
    patch((kept / eventCount) * spanNs, spanNs / eventCount, kept === 4_500_000);
    ring.append(frames);
    clock.advance((batchEvents / eventCount) * (spanNs / 1e6));
    const waiting = async () => (await store.blocks()).filter(({ summary }) => summary === undefined).length;
    while (kept % 10_000 === 0 && (await waiting()) > 4) await nextTurn();
  }
  await store.blocks();
  const used = process.cpuUsage(cpu);
  // Microseconds an event are hundredths of a core at 10,000 events a second.
  add({ name: "history-cpu-per-10000-flows-s", unit: "% of a core", ours: [(used.user + used.system) / eventCount] });
  const server = await startHubble({
    socketPath: join(folder, "hubble.sock"),
    ring,
    history: store,
    traffic: store.traffic,
    context,
    version: "bench",
    nowNs: () => spanNs,
  });
  const connection = await GrpcConnection.open({ address: `unix://${join(folder, "hubble.sock")}` }, { timeoutMs: 5_000, signal });
  add({ name: "history-disk-per-flow", unit: "B", ours: [store.sizeBytes / store.counts.stored] });
  add({ name: "history-flows-not-kept", unit: "", ours: [store.counts.lost] });
  return {
    connection,
    startSeconds: context.wallClockOffsetNs / 1_000_000_000n,
    async [Symbol.asyncDispose]() {
      await connection[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      stop.abort();
      await running;
    },
  };
}

/** A time that goes as fast as events come. */
function hastyClock(startMs: number) {
  let nowMs = startMs;
  return {
    nowMs: () => nowMs,
    sleep: async (_delayMs: number, given: AbortSignal): Promise<void> => {
      await nextTurn();
      given.throwIfAborted();
    },
    advance(byMs: number): void {
      nowMs += byMs;
    },
  };
}

function contextOfPods(): ContextHistory {
  const context = sampleContext();
  for (let pod = 0; pod <= podCount; pod += 1) {
    const [namespace, name] = pod === podCount ? ["rare", "pod"] : [`ns${pod % 10}`, `pod-${pod}`];
    const endpoint = sampleEndpoint(100 + pod, 5_000 + pod, namespace, name);
    context.setIdentity(endpoint.identity, endpoint.labels, 0);
    context.setEndpoint(endpoint, [Uint8Array.from([10, 0, 1, pod])], 0);
  }
  return context;
}

/** A thousand events between random pods, a hundredth of them drops, whose times (and first sender) can be changed. */
function batchOfPods(): [Uint8Array, (startNs: number, stepNs: number, isRare: boolean) => void] {
  const records = Array.from({ length: batchEvents }, (_, index) => {
    const [from, to] = [(index * 7) % podCount, (index * 31) % podCount];
    const ports = { sourcePort: 32_768 + ((index * 997) % 28_000), destinationPort: [80, 443, 53, 8080][index % 4] ?? 80 };
    const packet = buildPacket({ source: `10.0.1.${from}`, destination: `10.0.1.${to}`, tcp: { ...ports, flags: 16 } });
    const common = { reporter: 100 + from, sourceIdentity: 5_000 + from, destinationIdentity: 5_000 + to, packet };
    return index % 100 === 7 ? buildDrop({ ...common, reason: 133 }) : buildTrace({ ...common, point: 0, reason: 1, ifindex: 12 });
  });
  const frames = frameRecords(records);
  const view = new DataView(frames.buffer);
  const starts: number[] = [];
  for (let at = 0; at < frames.length; at += 8 + ((view.getUint32(at, true) + 7) & ~7)) starts.push(at + 8);
  // Of the first event, a trace: the sender's identity, and the last byte of its address behind the ethernet header.
  const [identityAt, addressAt] = [24, 64 + 14 + 15];
  return [
    frames,
    (startNs, stepNs, isRare) => {
      for (const [index, start] of starts.entries()) view.setBigUint64(start, BigInt(Math.round(startNs + index * stepNs)), true);
      view.setUint32((starts[0] ?? 0) + identityAt, isRare ? 5_000 + podCount : 5_000, true);
      frames[(starts[0] ?? 0) + addressAt] = isRare ? podCount : 0;
    },
  ];
}

function say(what: string): void {
  console.error(`dev bench hubble: ${what}`);
}
