import { once } from "node:events";
import type { Http2ServerRequest, Http2ServerResponse, IncomingHttpHeaders, ServerHttp2Session } from "node:http2";
import { ConnectError, type ConnectRouter } from "@connectrpc/connect";
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
  /** Told of every call that has ended. */
  readonly onCall?: (call: EndedCall) => void;
}

export interface EndedCall {
  /** `/observer.Observer/GetFlows`. */
  readonly path: string;
  /** Of gRPC. */
  readonly code: number;
  readonly seconds: number;
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
  const server = new RunningServer(options);
  try {
    for (const where of options.listen) await server.listen(where);
  } catch (cause) {
    await server[Symbol.asyncDispose]();
    throw cause;
  }
  return server;
}

class RunningServer implements GrpcServer {
  readonly #options: GrpcServerOptions;
  readonly #stop = new AbortController();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #listeners: Listener[] = [];
  readonly #others: ReturnType<typeof connectNodeAdapter>;
  readonly #counts = { streams: 0, refused: 0 };

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    this.#others = connectNodeAdapter({
      grpc: true,
      grpcWeb: false,
      connect: false,
      readMaxBytes: messageBytesMax,
      interceptors: [
        (next) => async (request) => {
          const startedMs = performance.now();
          const path = `/${request.service.typeName}/${request.method.name}`;
          const ended = (code: number): void => options.onCall?.({ path, code, seconds: (performance.now() - startedMs) / 1_000 });
          try {
            const response = await next(request);
            for (const [name, value] of Object.entries(options.responseHeaders)) response.header.set(name, value);
            ended(GrpcCode.ok);
            return response;
          } catch (cause) {
            ended(ConnectError.from(cause).code);
            throw cause;
          }
        },
      ],
      routes: (router) => options.routes(router, this.#stop.signal),
    });
  }

  get addresses(): readonly string[] {
    return this.#listeners.map(({ address }) => address);
  }

  get streamCount(): number {
    return this.#counts.streams;
  }

  get refused(): number {
    return this.#counts.refused;
  }

  async listen(where: ListenAddress): Promise<void> {
    const listener = await listen(where, (server) => {
      server.on("request", (request: Http2ServerRequest, response: Http2ServerResponse) => this.#serve(request, response));
      server.on("session", (session: ServerHttp2Session) => this.#admit(session));
    });
    this.#listeners.push(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const closed = this.#listeners.map(async ({ server, release }) => {
      release();
      const ended = once(server, "close");
      server.close();
      await ended;
    });
    await settle(this.#counts);
    for (const session of this.#sessions) session.close();
    const hurry = setTimeout(() => {
      for (const session of this.#sessions) session.destroy();
    }, closeDelayMs);
    await Promise.all(closed);
    clearTimeout(hurry);
  }

  #serve(request: Http2ServerRequest, response: Http2ServerResponse): void {
    const handler = isGrpc(request) ? this.#options.streams[request.url] : undefined;
    if (handler !== undefined) void this.#serveStream(handler, request, response);
    else this.#others(request, response);
  }

  async #serveStream(handler: StreamHandler, request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
    const { responseHeaders, streamCountMax = 64 } = this.#options;
    const call = new GrpcStream(request, response, responseHeaders);
    const full = this.#counts.streams >= streamCountMax;
    this.#counts.streams += 1;
    const startedMs = performance.now();
    const code = await call.serve(async (message, signal) => {
      if (full) {
        this.#counts.refused += 1;
        throw new GrpcError(GrpcCode.resourceExhausted, `${streamCountMax} clients are reading already; try again when one has left`);
      }
      const write = (messages: Uint8Array): Promise<void> => call.write(messages, signal);
      await handler(message, { headers: request.headers, open: () => call.open(), write }, signal);
    }, this.#stop.signal);
    this.#counts.streams -= 1;
    this.#options.onCall?.({ path: request.url, code, seconds: (performance.now() - startedMs) / 1_000 });
  }

  #admit(session: ServerHttp2Session): void {
    if (this.#sessions.size >= (this.#options.clientCountMax ?? 64)) {
      this.#counts.refused += 1;
      session.destroy();
      return;
    }
    this.#sessions.add(session);
    session.on("close", () => this.#sessions.delete(session));
    session.on("error", () => session.destroy());
  }
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
