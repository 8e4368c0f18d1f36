/** One process of the Hubble benchmark: a node's server, many scripted nodes, or a relay. Told what to do, and answers, by IPC. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EndpointResolver, type EventView, FlowRing } from "@cilium-ts/flow";
import { buildDrop, buildPacket, buildTrace, frameRecords, sampleContext } from "@cilium-ts/flow/testing";
import { createExporterConfig, Exporters } from "@cilium-ts/flow-export";
import { FlowMetrics, parseMetricSettings } from "@cilium-ts/flow-metrics";
import { Metrics } from "@cilium-ts/metrics";
import { type FlowConsumer, followFlows, startHubble } from "@cilium-ts/observer";
import { startRelay } from "@cilium-ts/relay";
import { ScriptedPeer, ScriptedPeerService } from "@cilium-ts/relay/testing";
import { systemClock } from "@cilium-ts/std";

export type RoleRequest =
  | { readonly kind: "fill" }
  /** What takes every flow within the program from now on. */
  | { readonly kind: "consume"; readonly what: Consumers }
  /** Events a second, until the next request. */
  | { readonly kind: "rate"; readonly perSecond: number };

export type Consumers = "metrics" | "file";

const packet = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", tcp: { sourcePort: 40000, destinationPort: 80, flags: 2 } });

/** Every tenth event is a drop. */
export function eventBatch(count: number): Uint8Array {
  const nowNs = Number(process.hrtime.bigint());
  return frameRecords(
    Array.from({ length: count }, (_, index) => {
      const common = { timeNs: nowNs, reporter: 11, sourceIdentity: 1001, destinationIdentity: 1002, packet };
      return index % 10 === 0 ? buildDrop({ ...common, reason: 133 }) : buildTrace({ ...common, point: 0, reason: 0, ifindex: 12 });
    }),
  );
}

/** Calls `tick` with how many are due, a hundred times a second. */
function createPacer(tick: (count: number) => void): (perSecond: number) => void {
  let [rate, owed, atMs] = [0, 0, performance.now()];
  setInterval(() => {
    const nowMs = performance.now();
    owed = Math.min(owed + (rate * (nowMs - atMs)) / 1_000, Math.max(1, rate));
    atMs = nowMs;
    const count = Math.floor(owed);
    owed -= count;
    if (count > 0) tick(count);
  }, 10);
  return (perSecond) => {
    [rate, owed] = [perSecond, 0];
  };
}

/** All metrics of layers 3 and 4, with both ends of each flow as labels. */
const metricSettings = ["flow", "drop", "tcp", "icmp", "port-distribution", "policy", "flows-to-world"]
  .map((name) => `${name}:sourceContext=pod|reserved-identity;destinationContext=pod|reserved-identity`)
  .join(" ");

/** As the agent has them: one reader of the ring for all. */
class NodeConsumers {
  readonly #metrics = new FlowMetrics<EventView>({ registry: new Metrics(), dropReasonName: String });
  readonly #exporters: Exporters;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    const onProblem = (message: string): void => console.error(message);
    this.#exporters = new Exporters({
      emitter: { name: "Hubble", version: "bench" },
      nodeName: "default/n1",
      clock: systemClock,
      onProblem,
    });
  }

  use(what: Consumers): void {
    this.#metrics.apply(
      parseMetricSettings(what === "metrics" ? metricSettings : "").settings.map((setting) => ({ setting, matches: undefined, key: "" })),
    );
    const target = what === "file" ? join(this.#folder, "events.log") : "";
    const config = createExporterConfig({ name: what, filePath: target });
    this.#exporters.apply(target === "" || "problem" in config ? [] : [config]);
  }

  active(): FlowConsumer[] {
    const metrics: FlowConsumer = {
      wants: () => true,
      consume: (flow, event) => this.#metrics.consume(flow, event, event.packetBytes),
      noteLoss() {},
    };
    return [...(this.#metrics.isActive ? [metrics] : []), ...this.#exporters.active()];
  }
}

async function serveNode(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "bench-hubble-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const ring = new FlowRing({ capacity: 65_535, instance: new Uint8Array(9) });
  const server = await startHubble({
    socketPath: join(folder, "hubble.sock"),
    tcp: { address: "127.0.0.1:0" },
    ring,
    context: sampleContext(),
    version: "bench",
  });
  const [thousand, hundred] = [eventBatch(1_000), eventBatch(100)];
  const pace = createPacer((count) => {
    for (let left = count; left > 0; left -= 100) ring.append(hundred);
  });
  const consumers = new NodeConsumers(folder);
  const nowNs = (): number => Number(process.hrtime.bigint());
  const resolver = new EndpointResolver(sampleContext());
  let isFollowed = false;
  answer((request) => {
    if (request.kind === "rate") pace(request.perSecond);
    else if (request.kind === "consume") {
      consumers.use(request.what);
      if (!isFollowed) void followFlows({ ring, resolver, nowNs, consumers: () => consumers.active() }, new AbortController().signal);
      isFollowed = true;
    } else for (let count = 0; count < 66; count += 1) ring.append(thousand);
  }, server.tcpAddress ?? "");
}

async function serveNodes(count: number): Promise<void> {
  const service = await ScriptedPeerService.start();
  const peers: ScriptedPeer[] = [];
  for (let index = 0; index < count; index += 1) {
    const peer = await ScriptedPeer.start(`n${index}`);
    peers.push(peer);
    service.add(peer.name, peer.address);
  }
  let number = 0;
  const pace = createPacer((due) => {
    for (let left = due; left > 0; left -= 1) {
      number += 1;
      peers[number % count]?.see(number, Date.now());
    }
  });
  answer((request) => {
    if (request.kind === "rate") pace(request.perSecond);
  }, service.address);
}

async function serveRelay(peerService: string): Promise<void> {
  const log = { error: console.error, warn: console.error, info() {}, debug() {} };
  const relay = await startRelay({
    clock: systemClock,
    log,
    version: "bench",
    nodeName: "bench",
    listenAddress: "127.0.0.1:0",
    healthListenAddress: "",
    peerServices: [() => ({ address: peerService })],
    clientTls: () => undefined,
    retryTimeoutMs: 1_000,
    holdMs: 100,
    heldMax: 10_000,
  });
  answer(() => {}, relay.address);
}

/** Tells the parent where to connect, then answers each request when it has been done. */
function answer(handle: (request: RoleRequest) => void, address: string): void {
  process.on("message", (request: RoleRequest) => {
    handle(request);
    process.send?.({ done: true });
  });
  process.once("disconnect", () => process.exit());
  process.send?.({ address });
}

if (import.meta.main) {
  const [role, argument = ""] = process.argv.slice(2);
  if (role === "node") await serveNode();
  else if (role === "nodes") await serveNodes(Number(argument));
  else await serveRelay(argument);
}
