import type { Log } from "@cilium-ts/log";
import {
  type ClientTls,
  type GrpcServer,
  type GrpcTarget,
  healthpb,
  historypb,
  observerpb,
  registerReflection,
  type ServerTls,
  type StreamHandler,
  startGrpcServer,
} from "@cilium-ts/observer";
import { type Clock, createBackOff } from "@cilium-ts/std";
import { PeerPool } from "./peers/peer-pool.ts";
import { CallMetrics } from "./relay-metrics.ts";
import { observationPaths, readObservation } from "./serve/observation.ts";
import { serveObservation } from "./serve/serve-observation.ts";
import { registerHealth, registerServices } from "./serve/services.ts";

export interface RelayOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly version: string;
  /** The relay's host. */
  readonly nodeName: string;
  /** `:4245`. */
  readonly listenAddress: string;
  readonly serverTls?: ServerTls;
  /** In plain text, for probes: `:4222`. Empty: none. */
  readonly healthListenAddress: string;
  /** Who tell the nodes: one for each cluster. */
  readonly peerServices: ReadonlyArray<() => GrpcTarget>;
  readonly clientTls: () => ClientTls | undefined;
  readonly retryTimeoutMs: number;
  readonly holdMs: number;
  readonly heldMax: number;
  readonly stallTimeoutMs?: number;
  readonly backOffMsMin?: number;
  readonly clientCountMax?: number;
  readonly streamCountMax?: number;
}

export interface Relay extends AsyncDisposable {
  /** `host:port`. */
  readonly address: string;
  readonly healthAddress: string | undefined;
  readonly pool: PeerPool;
  readonly server: GrpcServer;
  readonly calls: CallMetrics;
  /** Messages passed on to clients. */
  readonly messages: number;
}

const backOffMsMax = 60_000;
const nodeTimeoutMs = 5_000;

/** One Observer service over all nodes. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { clock, log, version, nodeName, clientCountMax = 256, streamCountMax = 256, stallTimeoutMs = 5_000 } = options;
  await using opened = new AsyncDisposableStack();
  const { peerServices, clientTls, retryTimeoutMs, holdMs, heldMax } = options;
  const backOff = createBackOff({ delayMsMin: options.backOffMsMin ?? 1_000, delayMsMax: backOffMsMax });
  const pool = opened.use(new PeerPool({ clock, log, peerServices, clientTls, retryTimeoutMs, backOff }));
  const stop = new AbortController();
  const listening = pool.run(stop.signal);
  opened.defer(async () => {
    stop.abort();
    await listening;
  });
  let messages = 0;
  const onMessages = (count: number): void => {
    messages += count;
  };
  const observe = { pool, clock, nodeName, holdMs, heldMax, stallTimeoutMs, onMessages };
  const stream =
    (path: (typeof observationPaths)[number]): StreamHandler =>
    (request, call, signal) =>
      serveObservation(readObservation(path, request), call, signal, observe);
  const calls = new CallMetrics();
  const responseHeaders = { "hubble-relay-version": version };
  const { serverTls, healthListenAddress } = options;
  const server = opened.use(
    await startGrpcServer({
      listen: [{ kind: "tcp", address: options.listenAddress, ...(serverTls === undefined ? {} : { tls: serverTls }) }],
      responseHeaders,
      clientCountMax,
      streamCountMax,
      onCall: (call) => calls.ended(call),
      streams: Object.fromEntries(observationPaths.map((path) => [path, stream(path)])),
      routes(router, signal) {
        registerServices(router, { pool, version, nodeTimeoutMs }, signal);
        registerReflection(router, [observerpb.Observer, historypb.History, healthpb.Health]);
      },
    }),
  );
  const health =
    healthListenAddress === ""
      ? undefined
      : opened.use(
          await startGrpcServer({
            listen: [{ kind: "tcp", address: healthListenAddress }],
            responseHeaders,
            streams: {},
            routes: (router, signal) => registerHealth(router, pool, signal),
          }),
        );
  const held = opened.move();
  return {
    address: server.addresses[0] ?? "",
    healthAddress: health?.addresses[0],
    pool,
    server,
    calls,
    get messages() {
      return messages;
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
