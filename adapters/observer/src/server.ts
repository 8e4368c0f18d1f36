import { once } from "node:events";
import { lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { createServer, type Http2Server, type Http2ServerRequest, type Http2ServerResponse, type ServerHttp2Session } from "node:http2";
import { connect as connectSocket } from "node:net";
import { dirname } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { EndpointResolver, type FlowContext, type FlowRing } from "@cilium-ts/flow";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { GrpcCode, GrpcError, ObserverError } from "./errors.ts";
import { readFlowsQuery } from "./flows-query.ts";
import { type FlowsReaderOptions, sendFlows } from "./flows-reader.ts";
import { GetFlowsRequestSchema } from "./gen/observer/observer_pb.js";
import { GrpcStream } from "./grpc-stream.ts";
import { registerServices } from "./services.ts";

export interface HubbleOptions {
  /** Usually /var/run/cilium/hubble.sock. The folder is made; what an earlier agent left there is replaced. */
  readonly socketPath: string;
  readonly ring: FlowRing;
  readonly context: FlowContext;
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
  /** GetFlows calls under way. */
  readonly streamCount: number;
  /** Calls and connections that found the server full. */
  readonly refused: number;
}

const getFlowsPath = "/observer.Observer/GetFlows";
const messageBytesMax = 1_048_576;
/** Bytes a stream may have on the way before its reader waits. */
const windowBytes = 262_144;

/** Serves until aborted. */
export async function serveHubble(options: HubbleOptions & { readonly signal: AbortSignal }): Promise<void> {
  await using _server = await startHubble(options);
  if (!options.signal.aborted) await once(options.signal, "abort");
}

/** Listens on the socket, for root and its group only. Disposing ends every call with Unavailable and removes the socket. */
export async function startHubble(options: HubbleOptions): Promise<HubbleServer> {
  const { socketPath, ring, context, version, clientCountMax = 64, streamCountMax = 64 } = options;
  await clearSocket(socketPath);
  const stop = new AbortController();
  const sessions = new Set<ServerHttp2Session>();
  const nowNs = options.nowNs ?? (() => Number(process.hrtime.bigint()));
  const reader: FlowsReaderOptions = { ring, resolver: new EndpointResolver(context), emitter: { name: "Hubble", version }, nowNs };
  const responseHeaders = { "hubble-server-version": version };
  const counts = { streams: 0, refused: 0 };
  const others = connectNodeAdapter({
    grpc: true,
    grpcWeb: false,
    connect: false,
    readMaxBytes: messageBytesMax,
    interceptors: [
      (next) => async (request) => {
        const response = await next(request);
        response.header.set("hubble-server-version", version);
        return response;
      },
    ],
    routes: (router) => registerServices(router, { ...reader, version, signal: stop.signal }),
  });

  async function getFlows(request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
    const call = new GrpcStream(request, response, responseHeaders);
    const full = counts.streams >= streamCountMax;
    counts.streams += 1;
    await call.serve(async (message, signal) => {
      if (full) {
        counts.refused += 1;
        throw new GrpcError(GrpcCode.resourceExhausted, `${streamCountMax} clients are reading flows already; try again when one has left`);
      }
      const query = readFlowsQuery(decodeRequest(message), context.wallClockOffsetNs);
      call.open();
      await sendFlows(query, reader, { write: (messages) => call.write(messages, signal) }, signal);
    }, stop.signal);
    counts.streams -= 1;
  }

  const server = createServer({ settings: { maxConcurrentStreams: 100, initialWindowSize: windowBytes }, maxSessionMemory: 16 });
  server.on("request", (request: Http2ServerRequest, response: Http2ServerResponse) => {
    if (request.url === getFlowsPath && isGrpc(request)) void getFlows(request, response);
    else others(request, response);
  });
  server.on("session", (session) => {
    if (sessions.size >= clientCountMax) {
      counts.refused += 1;
      session.destroy();
      return;
    }
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => session.destroy());
  });
  await listen(server, socketPath);
  return {
    socketPath,
    get streamCount() {
      return counts.streams;
    },
    get refused() {
      return counts.refused;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      const closed = once(server, "close");
      server.close();
      await settle(counts);
      for (const session of sessions) session.close();
      const hurry = setTimeout(() => {
        for (const session of sessions) session.destroy();
      }, closeDelayMs);
      await closed;
      clearTimeout(hurry);
    },
  };
}

const closeDelayMs = 500;

/** Lets calls that were told to stop send their status. */
async function settle(counts: { readonly streams: number }): Promise<void> {
  for (let turn = 0; turn < 50 && counts.streams > 0; turn += 1) await new Promise((resolve) => setTimeout(resolve, 2));
}

function isGrpc(request: Http2ServerRequest): boolean {
  const type = request.headers["content-type"] ?? "";
  return (
    request.method === "POST" &&
    (type === "application/grpc" || type.startsWith("application/grpc+") || type.startsWith("application/grpc;"))
  );
}

function decodeRequest(message: Uint8Array): ReturnType<typeof fromBinary<typeof GetFlowsRequestSchema>> {
  try {
    return fromBinary(GetFlowsRequestSchema, message);
  } catch (cause) {
    throw new GrpcError(GrpcCode.invalidArgument, "the request is no GetFlowsRequest", { cause });
  }
}

/** The permissions are those of the moment of binding: nobody else can connect even for an instant. */
async function listen(server: Http2Server, socketPath: string): Promise<void> {
  const mask = process.umask(0o117);
  try {
    server.listen(socketPath);
  } finally {
    process.umask(mask);
  }
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new ObserverError(`cannot listen on ${socketPath}; is the folder writable?`, { cause });
  }
}

/** Removes a socket that nobody listens on. One that answers belongs to a running agent and is left alone. */
async function clearSocket(socketPath: string): Promise<void> {
  mkdirSync(dirname(socketPath), { recursive: true });
  const found = lstatSync(socketPath, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new ObserverError(`${socketPath} exists and is no socket: move it away, or choose another path`);
  const probe = connectSocket(socketPath);
  const answered = await new Promise<boolean>((resolve) => {
    probe.once("connect", () => resolve(true));
    probe.once("error", () => resolve(false));
  });
  probe.destroy();
  if (answered) throw new ObserverError(`${socketPath} is served by another process: stop that agent first`);
  unlinkSync(socketPath);
}
