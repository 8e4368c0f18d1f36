import { once } from "node:events";
import type { Http2ServerRequest, Http2ServerResponse, IncomingHttpHeaders, ServerHttp2Session } from "node:http2";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { GrpcCode, GrpcError } from "./errors.ts";
import { GrpcStream } from "./grpc-stream.ts";
import { type ListenAddress, type Listener, listen } from "./listen.ts";

/** The client's end of a call that is answered with many messages. */
export interface StreamCall {
  readonly headers: IncomingHttpHeaders;
  /** Sends the headers, so that a client that waits knows it is being served. */
  open(): void;
  /** Takes framed messages, and resolves when the client has room for more. */
  write(messages: Uint8Array): Promise<void>;
}

/** Answers one message with many. Throws a GrpcError for a status other than OK. */
export type StreamHandler = (request: Uint8Array, call: StreamCall, signal: AbortSignal) => Promise<void>;

export interface GrpcServerOptions {
  readonly listen: readonly ListenAddress[];
  /** By path, `/observer.Observer/GetFlows`: served without a library in between. */
  readonly streams: Readonly<Record<string, StreamHandler>>;
  /** Everything else. The signal is aborted when the server stops. */
  readonly routes: (router: ConnectRouter, signal: AbortSignal) => void;
  /** Sent with every answer. */
  readonly responseHeaders: Readonly<Record<string, string>>;
  /** Clients connected at a time; more are turned away. */
  readonly clientCountMax?: number;
  /** Calls of `streams` under way at a time; more are answered with ResourceExhausted. */
  readonly streamCountMax?: number;
}

export interface GrpcServer extends AsyncDisposable {
  /** As a client would name them, in the order of `listen`. */
  readonly addresses: readonly string[];
  /** Calls of `streams` under way. */
  readonly streamCount: number;
  /** Calls and connections that found the server full. */
  readonly refused: number;
}

const messageBytesMax = 1_048_576;
const closeDelayMs = 500;

/** Disposing ends every call with Unavailable, then every connection, and removes the sockets. */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { clientCountMax = 64, streamCountMax = 64, responseHeaders, streams } = options;
  const stop = new AbortController();
  const sessions = new Set<ServerHttp2Session>();
  const counts = { streams: 0, refused: 0 };
  const others = connectNodeAdapter({
    grpc: true,
    grpcWeb: false,
    connect: false,
    readMaxBytes: messageBytesMax,
    interceptors: [
      (next) => async (request) => {
        const response = await next(request);
        for (const [name, value] of Object.entries(responseHeaders)) response.header.set(name, value);
        return response;
      },
    ],
    routes: (router) => options.routes(router, stop.signal),
  });

  async function serveStream(handler: StreamHandler, request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
    const call = new GrpcStream(request, response, responseHeaders);
    const full = counts.streams >= streamCountMax;
    counts.streams += 1;
    await call.serve(async (message, signal) => {
      if (full) {
        counts.refused += 1;
        throw new GrpcError(GrpcCode.resourceExhausted, `${streamCountMax} clients are reading already; try again when one has left`);
      }
      const write = (messages: Uint8Array): Promise<void> => call.write(messages, signal);
      await handler(message, { headers: request.headers, open: () => call.open(), write }, signal);
    }, stop.signal);
    counts.streams -= 1;
  }

  function prepare(server: Listener["server"]): void {
    server.on("request", (request: Http2ServerRequest, response: Http2ServerResponse) => {
      const handler = isGrpc(request) ? streams[request.url] : undefined;
      if (handler !== undefined) void serveStream(handler, request, response);
      else others(request, response);
    });
    server.on("session", (session: ServerHttp2Session) => {
      if (sessions.size >= clientCountMax) {
        counts.refused += 1;
        session.destroy();
        return;
      }
      sessions.add(session);
      session.on("close", () => sessions.delete(session));
      session.on("error", () => session.destroy());
    });
  }

  const listeners: Listener[] = [];
  async function close(): Promise<void> {
    stop.abort();
    const closed = listeners.map(async ({ server, release }) => {
      release();
      const ended = once(server, "close");
      server.close();
      await ended;
    });
    await settle(counts);
    for (const session of sessions) session.close();
    const hurry = setTimeout(() => {
      for (const session of sessions) session.destroy();
    }, closeDelayMs);
    await Promise.all(closed);
    clearTimeout(hurry);
  }
  try {
    for (const where of options.listen) listeners.push(await listen(where, prepare));
  } catch (cause) {
    await close();
    throw cause;
  }
  return {
    addresses: listeners.map(({ address }) => address),
    get streamCount() {
      return counts.streams;
    },
    get refused() {
      return counts.refused;
    },
    [Symbol.asyncDispose]: close,
  };
}

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
