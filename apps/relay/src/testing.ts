/** Nodes that do as they are told, for tests and benchmarks of the relay. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  createObserverClients,
  flowpb,
  frameMessage,
  historypb,
  observerpb,
  peerpb,
  type StreamCall,
  startGrpcServer,
} from "@cilium-ts/observer";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { Code, ConnectError } from "@connectrpc/connect";
import { type RelayOptions, startRelay } from "./relay.ts";

export type FlowsRequest = observerpb.GetFlowsRequest;

/** What a node does with a request for flows. */
export type Script = (request: FlowsRequest, call: StreamCall, signal: AbortSignal) => Promise<void>;

/** A flow that names its node and number, at a time in milliseconds. */
export function flowFrame(nodeName: string, number: number, timeMs: number): Uint8Array {
  const time = timestampFromMs(timeMs);
  const flow = create(flowpb.FlowSchema, { time, nodeName, uuid: `${nodeName}-${number}`, verdict: flowpb.Verdict.FORWARDED });
  const response = create(observerpb.GetFlowsResponseSchema, { responseTypes: { case: "flow", value: flow }, nodeName, time });
  return frameMessage(toBinary(observerpb.GetFlowsResponseSchema, response));
}

/** A node's Hubble server: answers from what it has seen, as a real one does, unless there is a script. */
export class ScriptedPeer implements AsyncDisposable {
  readonly name: string;
  script: Script | undefined;
  status: MessageInitShape<typeof observerpb.ServerStatusResponseSchema> | undefined = {
    numFlows: 1n,
    maxFlows: 7n,
    seenFlows: 10n,
    uptimeNs: 5n,
    flowsRate: 1.5,
    version: "1",
  };
  namespaces: Array<{ cluster: string; namespace: string }> = [];
  /** Undefined: a server that has no sums. */
  traffic: MessageInitShape<typeof historypb.GetTrafficResponseSchema> | undefined;
  readonly requests: FlowsRequest[] = [];
  readonly metadata: StreamCall["headers"][] = [];
  readonly #seen: Array<{ readonly timeMs: number; readonly frame: Uint8Array }> = [];
  readonly #readers = new Set<() => void>();
  #server: Awaited<ReturnType<typeof startGrpcServer>> | undefined;
  #address = "127.0.0.1:0";

  constructor(name: string) {
    this.name = name;
  }

  static async start(name: string): Promise<ScriptedPeer> {
    const peer = new ScriptedPeer(name);
    await peer.start();
    return peer;
  }

  get address(): string {
    return this.#address;
  }

  get streamCount(): number {
    return this.#server?.streamCount ?? 0;
  }

  async start(): Promise<void> {
    this.#server = await startGrpcServer({
      listen: [{ kind: "tcp", address: this.#address }],
      responseHeaders: {},
      streams: { "/observer.Observer/GetFlows": (bytes, call, signal) => this.#getFlows(bytes, call, signal) },
      routes: (router) => {
        router.service(historypb.History, {
          getTraffic: () => {
            if (this.traffic === undefined) throw new ConnectError("no sums here", Code.Unimplemented);
            return this.traffic;
          },
        });
        router.service(observerpb.Observer, {
          serverStatus: () => {
            if (this.status === undefined) throw new Error("no status today");
            return this.status;
          },
          getNamespaces: () => ({ namespaces: this.namespaces }),
        });
      },
    });
    this.#address = this.#server.addresses[0] ?? "";
  }

  /** Nobody can connect, and what was connected is not. What was seen stays. */
  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  /** The node sees flow `number`. */
  see(number: number, timeMs: number): void {
    this.seeFrame(flowFrame(this.name, number, timeMs), timeMs);
  }

  seeFrame(frame: Uint8Array, timeMs: number): void {
    this.#seen.push({ timeMs, frame });
    if (this.#seen.length > 100_000) this.#seen.splice(0, 50_000);
    for (const wake of this.#readers) wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #getFlows(bytes: Uint8Array, call: StreamCall, signal: AbortSignal): Promise<void> {
    const request = fromBinary(observerpb.GetFlowsRequestSchema, bytes);
    this.requests.push(request);
    this.metadata.push(call.headers);
    call.open();
    if (this.script !== undefined) return this.script(request, call, signal);
    const sinceMs = request.since === undefined ? undefined : Number(request.since.seconds) * 1_000 + request.since.nanos / 1e6;
    const number = Number(request.number);
    let chosen = this.#seen.filter(({ timeMs }) => sinceMs === undefined || timeMs >= sinceMs);
    if (sinceMs === undefined && number === 0 && request.follow) chosen = [];
    else if (number > 0 && !request.follow && (request.first || sinceMs !== undefined)) chosen = chosen.slice(0, number);
    else if (number > 0) chosen = chosen.slice(-number);
    let at = this.#seen.length;
    if (chosen.length > 0) await call.write(Buffer.concat(chosen.map(({ frame }) => frame)));
    while (request.follow && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (at < this.#seen.length) resolve();
      this.#readers.add(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      this.#readers.delete(resolve);
      const news = this.#seen.slice(at).map(({ frame }) => frame);
      at = this.#seen.length;
      if (news.length > 0 && !signal.aborted) await call.write(Buffer.concat(news));
    }
  }
}

/** A peer service that names whatever nodes it is given. */
export class ScriptedPeerService implements AsyncDisposable {
  readonly #server: Awaited<ReturnType<typeof startGrpcServer>>;
  readonly #subscribers = new Set<(change: MessageInitShape<typeof peerpb.ChangeNotificationSchema>) => void>();
  readonly #peers = new Map<string, MessageInitShape<typeof peerpb.ChangeNotificationSchema>>();

  static async start(): Promise<ScriptedPeerService> {
    const holder: { service?: ScriptedPeerService } = {};
    const server = await startGrpcServer({
      listen: [{ kind: "tcp", address: "127.0.0.1:0" }],
      responseHeaders: {},
      streams: {},
      routes: (router, signal) =>
        router.service(peerpb.Peer, {
          notify: (_request, context) => holder.service?.notify(AbortSignal.any([context.signal, signal])) ?? (async function* () {})(),
        }),
    });
    holder.service = new ScriptedPeerService(server);
    return holder.service;
  }

  private constructor(server: Awaited<ReturnType<typeof startGrpcServer>>) {
    this.#server = server;
  }

  get address(): string {
    return this.#server.addresses[0] ?? "";
  }

  /** `serverName`: what the node's certificate is valid for; absent: the node is spoken to in plain text. */
  add(name: string, address: string, serverName?: string): void {
    const type = this.#peers.has(name) ? peerpb.ChangeNotificationType.PEER_UPDATED : peerpb.ChangeNotificationType.PEER_ADDED;
    const peer = { name, address, ...(serverName !== undefined && { tls: { serverName } }) };
    this.#peers.set(name, peer);
    for (const tell of this.#subscribers) tell({ ...peer, type });
  }

  remove(name: string): void {
    this.#peers.delete(name);
    for (const tell of this.#subscribers) tell({ name, address: "", type: peerpb.ChangeNotificationType.PEER_DELETED });
  }

  async *notify(signal: AbortSignal): AsyncGenerator<MessageInitShape<typeof peerpb.ChangeNotificationSchema>> {
    const queue: Array<MessageInitShape<typeof peerpb.ChangeNotificationSchema>> = [];
    for (const peer of this.#peers.values()) queue.push({ ...peer, type: peerpb.ChangeNotificationType.PEER_ADDED });
    let news = Promise.withResolvers<void>();
    const wake = (): void => news.resolve();
    const tell = (change: MessageInitShape<typeof peerpb.ChangeNotificationSchema>): void => {
      queue.push(change);
      wake();
    };
    this.#subscribers.add(tell);
    signal.addEventListener("abort", wake, { once: true });
    while (!signal.aborted) {
      news = Promise.withResolvers();
      yield* queue.splice(0);
      if (!signal.aborted) await news.promise;
    }
    this.#subscribers.delete(tell);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}

/** A relay that is quick to try again, of the nodes that `service` names, and clients of it in plain text. */
export async function startTestRelay(options: Partial<RelayOptions> = {}) {
  await using opened = new AsyncDisposableStack();
  const service = opened.use(await ScriptedPeerService.start());
  const relay = opened.use(
    await startRelay({
      clock: systemClock,
      log: { error() {}, warn() {}, info() {}, debug() {} },
      version: "0.1.0",
      nodeName: "relay-host",
      listenAddress: "127.0.0.1:0",
      healthListenAddress: "",
      peerServices: [() => ({ address: service.address })],
      clientTls: () => undefined,
      retryTimeoutMs: 50,
      holdMs: 0,
      heldMax: 1_000,
      backOffMsMin: 20,
      ...options,
    }),
  );
  const held = opened.move();
  const connections = (): number => relay.pool.peers().filter(({ connection }) => connection !== undefined).length;
  return {
    service,
    relay,
    clients: createObserverClients(relay.address),
    /** So many nodes are connected. */
    connected: (count: number): Promise<void> =>
      eventually(() => {
        if (connections() !== count) throw new Error(`${connections()} nodes are connected, not ${count}`);
      }),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
