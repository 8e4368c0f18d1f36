import { once } from "node:events";
import { fromBinary } from "@bufbuild/protobuf";
import { AgentEventRing, EndpointResolver, type FlowContext, type FlowRing } from "@cilium-ts/flow";
import type { FlowHistory } from "./flows/flow-history.ts";
import { readFlowsQuery } from "./flows/flows-query.ts";
import { sendFlows } from "./flows/flows-reader.ts";
import type { FlowsReaderOptions } from "./flows/flows-reader-options.ts";
import { Line, Seats } from "./flows/turn.ts";
import { Health } from "./gen/grpc/health/v1/health_pb.js";
import { History } from "./gen/history/history_pb.js";
import { GetFlowsRequestSchema, Observer } from "./gen/observer/observer_pb.js";
import { Peer } from "./gen/peer/peer_pb.js";
import { GrpcCode, GrpcError } from "./grpc/errors.ts";
import { startGrpcServer } from "./grpc/grpc-server.ts";
import type { ListenAddress, ServerTls } from "./grpc/listen.ts";
import { registerReflection } from "./grpc/reflection.ts";
import { type PeerDirectory, registerPeers } from "./peers.ts";
import { registerServices } from "./services.ts";
import { registerTraffic, type TrafficSource } from "./traffic.ts";

export interface HubbleOptions {
  /** Usually /var/run/cilium/hubble.sock. The folder is made; what an earlier agent left there is replaced. */
  readonly socketPath: string;
  /** Where it listens besides: usually `:4244`. In plain text without `tls`. */
  readonly tcp?: { readonly address: string; readonly tls?: ServerTls };
  /** The nodes that the relay finds through this server. */
  readonly peers?: PeerDirectory;
  readonly ring: FlowRing;
  /** What the ring no longer has. */
  readonly history?: FlowHistory;
  /** Absent: sums of traffic are unimplemented here. */
  readonly traffic?: TrafficSource;
  readonly context: FlowContext;
  /** What the agent did; absent: it tells nothing of that. */
  readonly agentEvents?: AgentEventRing;
  readonly version: string;
  /** Clients connected at a time; more are turned away. */
  readonly clientCountMax?: number;
  /** GetFlows calls under way at a time; more are answered with ResourceExhausted. */
  readonly streamCountMax?: number;
  /** CLOCK_MONOTONIC in ns, the clock of events. */
  readonly nowNs?: () => number;
}

export interface HubbleServer extends AsyncDisposable {
  readonly socketPath: string;
  /** `host:port`, with the port that was found where 0 was asked for. */
  readonly tcpAddress: string | undefined;
  /** GetFlows calls under way. */
  readonly streamCount: number;
  /** Calls and connections that found the server full. */
  readonly refused: number;
}

/** Clients that read what they missed from history at a time: each holds two of its blocks. */
const overtakenMax = 16;

/** Serves until aborted. */
export async function serveHubble(options: HubbleOptions & { readonly signal: AbortSignal }): Promise<void> {
  await using _server = await startHubble(options);
  if (!options.signal.aborted) await once(options.signal, "abort");
}

/** Listens on the socket, for root and its group only, and on TCP where asked to. Disposing ends every call with Unavailable. */
export async function startHubble(options: HubbleOptions): Promise<HubbleServer> {
  const { socketPath, tcp, peers, ring, history, traffic, context, version, clientCountMax, streamCountMax } = options;
  const nowNs = options.nowNs ?? (() => Number(process.hrtime.bigint()));
  const agentEvents = options.agentEvents ?? new AgentEventRing(nowNs, 1);
  const reader: FlowsReaderOptions = {
    ring,
    ...(history === undefined ? {} : { history, line: new Line(), seats: new Seats(overtakenMax) }),
    resolver: new EndpointResolver(context),
    emitter: { name: "Hubble", version },
    nowNs,
  };
  const listen: ListenAddress[] = [{ kind: "unix", path: socketPath }];
  if (tcp !== undefined) listen.push({ kind: "tcp", ...tcp });
  const server = await startGrpcServer({
    listen,
    responseHeaders: { "hubble-server-version": version },
    ...(clientCountMax === undefined ? {} : { clientCountMax }),
    ...(streamCountMax === undefined ? {} : { streamCountMax }),
    streams: {
      "/observer.Observer/GetFlows": async (request, call, signal) => {
        const query = readFlowsQuery(decodeRequest(request), context.wallClockOffsetNs);
        call.open();
        await sendFlows(query, reader, call, signal);
      },
    },
    routes(router, signal) {
      registerServices(router, { ...reader, agentEvents, version, signal });
      if (peers !== undefined) registerPeers(router, peers, signal);
      if (traffic !== undefined) registerTraffic(router, traffic);
      registerReflection(router, [Observer, Health, ...(peers === undefined ? [] : [Peer]), ...(traffic === undefined ? [] : [History])]);
    },
  });
  return {
    socketPath,
    tcpAddress: server.addresses[1],
    get streamCount() {
      return server.streamCount;
    },
    get refused() {
      return server.refused;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function decodeRequest(message: Uint8Array): ReturnType<typeof fromBinary<typeof GetFlowsRequestSchema>> {
  try {
    return fromBinary(GetFlowsRequestSchema, message);
  } catch (cause) {
    throw new GrpcError(GrpcCode.invalidArgument, "the request is no GetFlowsRequest", { cause });
  }
}
