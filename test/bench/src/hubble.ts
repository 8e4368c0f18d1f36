import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FlowRing } from "@cilium-ts/flow";
import { GrpcConnection, grpcHeaderBytes, observerpb, readResponseFields } from "@cilium-ts/observer";
import { benchHistory } from "./hubble-history.ts";
import { eventBatch, type RoleRequest } from "./hubble-role.ts";
import { cpuSeconds, residentMegabytes } from "./process-usage.ts";
import { createRow, percentile, type Row, type Samples } from "./report.ts";

const signal = new AbortController().signal;
const nodeCount = 50;

/** Hubble: from the ring to clients, and over a relay. Figures of the incumbent are in docs/decisions. */
export async function benchHubble(options: { repeats: number }): Promise<Row[]> {
  const rows: Row[] = [];
  const add = (samples: Samples): void => void rows.push(createRow(samples));
  const value = (better: "lower" | "higher", at: number): NonNullable<Samples["aim"]> => ({ of: "value", better, at });
  say("ring");
  add({ name: "ingest", unit: "1/s", ours: Array.from({ length: options.repeats }, ingestRate), aim: value("higher", 1_000_000) });
  add({ name: "ring-memory-65535", unit: "MB", ours: [ringMegabytes()] });
  await benchNode(options.repeats, add, value);
  await benchRelay(add, value);
  return [...rows, ...(await benchHistory())];
}

type Add = (samples: Samples) => void;
type Aim = (better: "lower" | "higher", at: number) => NonNullable<Samples["aim"]>;

async function benchNode(repeats: number, add: Add, value: Aim): Promise<void> {
  await using node = await Role.start("node", "");
  await node.ask({ kind: "fill" });
  for (const clients of [1, 10]) {
    for (const [suffix, request] of [
      ["", requestOf({})],
      ["-filtered", requestOf({ whitelist: [{ verdict: [2] }] })],
      ["-cel", requestOf({ whitelist: [{ experimental: { celExpression: ["_flow.verdict == Verdict.DROPPED"] } }] })],
    ] as const) {
      say(`delivery to ${clients} clients${suffix}`);
      const measured: Array<{ flows: number; examined: number }> = [];
      for (let repeat = 0; repeat < repeats; repeat += 1) measured.push(await delivery(node.address, clients, request));
      const aim = clients === 1 && suffix === "" ? { aim: value("higher", 50_000), incumbent: 5_700 } : {};
      add({ name: `delivered-${clients}-clients${suffix}`, unit: "1/s", ours: measured.map(({ flows }) => flows), ...aim });
      if (suffix !== "") add({ name: `examined-${clients}-clients${suffix}`, unit: "1/s", ours: measured.map(({ examined }) => examined) });
    }
  }
  say("10,000 flows a second, no client");
  await node.ask({ kind: "rate", perSecond: 0 });
  const idle = await cpuPercent(node.pid, 3_000);
  await node.ask({ kind: "rate", perSecond: 10_000 });
  const busy = await cpuPercent(node.pid, 5_000);
  add({ name: "cpu-10000-flows-no-client", unit: "% of a core", ours: [Math.max(0, busy - idle)], aim: value("lower", 3) });
  for (const what of ["metrics", "file"] as const) {
    say(`10,000 flows a second, ${what}`);
    await node.ask({ kind: "consume", what });
    await delay(1_000);
    add({ name: `cpu-10000-flows-${what}`, unit: "% of a core", ours: [Math.max(0, (await cpuPercent(node.pid, 5_000)) - idle)] });
  }
}

async function benchRelay(add: Add, value: Aim): Promise<void> {
  await using nodes = await Role.start("nodes", String(nodeCount));
  await using relay = await Role.start("relay", nodes.address);
  await delay(1_000);
  for (const [perSecond, seconds] of [
    [1, 20],
    [100, 5],
    [10_000, 5],
  ] as const) {
    say(`relay, ${nodeCount} nodes, ${perSecond} flows a second`);
    await nodes.ask({ kind: "rate", perSecond });
    const { latencies, received } = await followLatencies(relay.address, seconds * 1_000);
    add({ name: `relay-latency-${perSecond}-p50`, unit: "ms", ours: [percentile(latencies, 0.5)] });
    add({ name: `relay-latency-${perSecond}-p99`, unit: "ms", ours: [percentile(latencies, 0.99)], aim: value("lower", 300) });
    add({ name: `relay-delivered-${perSecond}`, unit: "1/s", ours: [received / seconds] });
  }
  say("a client that does not read");
  const before = residentMegabytes(relay.pid);
  await using connection = await GrpcConnection.open({ address: relay.address }, { timeoutMs: 5_000, signal });
  const stalled = connection.stream(getFlows, requestOf({ follow: true }), { signal });
  await stalled.next();
  await delay(15_000);
  add({ name: "relay-stalled-client-memory", unit: "MB", ours: [residentMegabytes(relay.pid) - before] });
  await stalled.return();
}

function say(what: string): void {
  console.error(`dev bench hubble: ${what}`);
}

/** Events a second of one thread's time. */
function ingestRate(): number {
  const ring = new FlowRing({ capacity: 65_535, instance: new Uint8Array(9) });
  const batch = eventBatch(1_000);
  const count = 2_000;
  for (let warm = 0; warm < 200; warm += 1) ring.append(batch);
  const startedMs = performance.now();
  for (let index = 0; index < count; index += 1) ring.append(batch);
  return (count * 1_000) / ((performance.now() - startedMs) / 1_000);
}

function ringMegabytes(): number {
  const before = process.memoryUsage();
  const ring = new FlowRing({ capacity: 65_535, instance: new Uint8Array(9) });
  const after = process.memoryUsage();
  return (after.arrayBuffers - before.arrayBuffers) / 1e6 + ring.size;
}

const getFlows = "/observer.Observer/GetFlows";

function requestOf(request: MessageInitShape<typeof observerpb.GetFlowsRequestSchema>): Uint8Array {
  return toBinary(observerpb.GetFlowsRequestSchema, create(observerpb.GetFlowsRequestSchema, request));
}

/** Every client reads the whole ring. */
async function delivery(address: string, clients: number, request: Uint8Array): Promise<{ flows: number; examined: number }> {
  const connections = await Promise.all(
    Array.from({ length: clients }, () => GrpcConnection.open({ address }, { timeoutMs: 5_000, signal })),
  );
  const startedMs = performance.now();
  const counts = await Promise.all(
    connections.map(async (connection) => {
      let count = 0;
      for await (const frames of connection.stream(getFlows, request, { signal })) count += frames.length;
      return count;
    }),
  );
  const seconds = (performance.now() - startedMs) / 1_000;
  for (const connection of connections) await connection[Symbol.asyncDispose]();
  return { flows: counts.reduce((sum, count) => sum + count, 0) / seconds, examined: (clients * 65_535) / seconds };
}

/** From a flow's time to the arrival of its bytes, the node's own delay included. */
async function followLatencies(address: string, durationMs: number): Promise<{ latencies: number[]; received: number }> {
  await using connection = await GrpcConnection.open({ address }, { timeoutMs: 5_000, signal });
  const latencies: number[] = [];
  const until = AbortSignal.timeout(durationMs);
  for await (const frames of connection.stream(getFlows, requestOf({ follow: true }), { signal: until })) {
    const nowMs = Date.now();
    for (const frame of frames) {
      const { kind, timeMs } = readResponseFields(frame, grpcHeaderBytes);
      if (kind === 1) latencies.push(nowMs - timeMs);
    }
  }
  return { latencies, received: latencies.length };
}

async function cpuPercent(pid: number, durationMs: number): Promise<number> {
  const before = cpuSeconds(pid);
  await delay(durationMs);
  return ((cpuSeconds(pid) - before) / (durationMs / 1_000)) * 100;
}

/** A process of the benchmark, ended with it. */
class Role implements AsyncDisposable {
  readonly address: string;
  readonly #child: ChildProcess;

  static async start(role: string, argument: string): Promise<Role> {
    const child = fork(join(import.meta.dirname, "hubble-role.ts"), [role, argument], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const [message] = (await once(child, "message")) as [{ address: string }];
    return new Role(child, message.address);
  }

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.address = address;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async ask(request: RoleRequest): Promise<void> {
    const done = once(this.#child, "message");
    this.#child.send(request);
    await done;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.disconnect();
    await ended;
  }
}
