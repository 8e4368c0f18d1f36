import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type IncomingHttpHeaders } from "node:http2";
import { connect as connectSocket } from "node:net";
import { connect as connectTls } from "node:tls";
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { errorMessage, toError } from "@cilium-ts/std";
import { type ClientTls, tlsOptions, unixPathOf } from "./client.ts";
import { GrpcCode, GrpcError } from "./errors.ts";

export interface GrpcTarget {
  /** `unix:///path` or `host:port`. */
  readonly address: string;
  /** Absent: plain text. */
  readonly tls?: ClientTls;
}

export interface CallOptions {
  readonly signal: AbortSignal;
  readonly metadata?: Readonly<Record<string, string>>;
}

export const grpcHeaderBytes = 5;
/** Larger messages are taken for garbage. A flow has less than 10 kB. */
const messageBytesMax = 4_194_304;
/** What one stream may have on the way when nobody reads it: the memory that a stalled client costs for each node. */
const streamWindowBytes = 131_072;
const sessionWindowBytes = 4_194_304;

/** One HTTP/2 connection to a gRPC server, for calls whose answers are passed on as bytes. */
export class GrpcConnection implements AsyncDisposable {
  /** Resolves when the connection has ended, for whatever reason. */
  readonly closed: Promise<void>;
  readonly #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
    session.on("error", () => {}); // Told by `closed`, and by each call.
    this.closed = new Promise((resolve) => session.once("close", () => resolve()));
  }

  /** Connects, or throws with the reason. */
  static async open(target: GrpcTarget, options: { readonly timeoutMs: number; readonly signal: AbortSignal }): Promise<GrpcConnection> {
    const { address, tls } = target;
    const path = unixPathOf(address);
    const { host, port } = path === undefined ? hostPortOf(address) : { host: "localhost", port: 80 };
    const session = connect(`${tls === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`, {
      settings: { initialWindowSize: streamWindowBytes, enablePush: false },
      createConnection: () => {
        if (path !== undefined) return connectSocket(path);
        return tls === undefined
          ? connectSocket(port, host)
          : connectTls({ port, host, servername: host.replace(/^[\d.:]+$/, ""), ALPNProtocols: ["h2"], ...tlsOptions(tls) });
      },
    });
    const signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]);
    try {
      await once(session, "remoteSettings", { signal });
    } catch (cause) {
      session.destroy();
      session.on("error", () => {});
      const reason = options.signal.aborted
        ? "given up"
        : signal.aborted
          ? `no answer within ${options.timeoutMs} ms`
          : errorMessage(cause);
      throw new GrpcError(GrpcCode.unavailable, `cannot connect to ${address}: ${reason}`, { cause: toError(cause) });
    }
    session.setLocalWindowSize(sessionWindowBytes);
    return new GrpcConnection(session);
  }

  get isClosed(): boolean {
    return this.#session.closed || this.#session.destroyed;
  }

  /** Whether the other side answers in time. */
  ping(timeoutMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), timeoutMs);
    try {
      this.#session.ping((error) => resolve(error === null));
    } catch {
      resolve(false);
    }
    return promise.finally(() => clearTimeout(timer));
  }

  /**
   * Calls a method that answers with many messages, and gives them framed as they came, in batches. Reading slowly slows the server
   * down. Ends by a GrpcError unless the server's status was OK; leaving the loop cancels the call.
   */
  async *stream(path: string, request: Uint8Array, options: CallOptions): AsyncGenerator<readonly Uint8Array[], void> {
    const { signal } = options;
    if (signal.aborted) return;
    if (this.isClosed) throw new GrpcError(GrpcCode.unavailable, "the connection is closed");
    const stream = this.#request(path, request, options.metadata ?? {});
    let status: IncomingHttpHeaders = {};
    stream.on("response", (headers) => {
      if (headers["grpc-status"] !== undefined || headers[":status"] !== 200) status = headers;
    });
    stream.on("trailers", (trailers) => {
      status = trailers;
    });
    const cancel = (): void => stream.close(constants.NGHTTP2_CANCEL);
    signal.addEventListener("abort", cancel, { once: true });
    try {
      const splitter = new FrameSplitter();
      for await (const chunk of stream) {
        const frames = splitter.push(chunk as Buffer);
        if (frames.length > 0) yield frames;
      }
      if (signal.aborted) return;
      checkStatus(status);
    } catch (cause) {
      if (signal.aborted) return;
      if (cause instanceof GrpcError) throw cause;
      throw new GrpcError(GrpcCode.unavailable, `the connection was lost: ${errorMessage(cause)}`, { cause: toError(cause) });
    } finally {
      signal.removeEventListener("abort", cancel);
      cancel();
    }
  }

  /** Calls a method that answers with one message. */
  async unary<Schema extends DescMessage>(
    path: string,
    answer: Schema,
    options: CallOptions & { readonly request?: Uint8Array },
  ): Promise<MessageShape<Schema>> {
    let message: Uint8Array | undefined;
    for await (const frames of this.stream(path, options.request ?? new Uint8Array(0), options)) message = frames[0];
    if (message === undefined) throw new GrpcError(GrpcCode.unavailable, options.signal.aborted ? "no answer in time" : "no answer");
    try {
      return fromBinary(answer, message.subarray(grpcHeaderBytes));
    } catch (cause) {
      throw new GrpcError(GrpcCode.internal, `the answer is no ${answer.typeName}`, { cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.destroy();
    await this.closed;
  }

  #request(path: string, request: Uint8Array, metadata: Readonly<Record<string, string>>): ClientHttp2Stream {
    const stream = this.#session.request({
      ...metadata,
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      "grpc-accept-encoding": "identity",
      te: "trailers",
    });
    stream.on("error", () => {}); // Told by reading it.
    stream.end(frameMessage(request));
    return stream;
  }
}

/** A message with the header that gRPC puts before it. */
export function frameMessage(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(grpcHeaderBytes + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, grpcHeaderBytes);
  return frame;
}

/** Cuts a stream of bytes into framed messages, without copying those that lie within one chunk. */
class FrameSplitter {
  #rest: Buffer | undefined;

  push(chunk: Buffer): Buffer[] {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Buffer[] = [];
    let offset = 0;
    while (offset + grpcHeaderBytes <= bytes.length) {
      const length = bytes.readUInt32BE(offset + 1);
      if (bytes[offset] !== 0) throw new GrpcError(GrpcCode.internal, "the server compresses, which it was told not to, or sends garbage");
      if (length > messageBytesMax)
        throw new GrpcError(GrpcCode.internal, `the server sends a message of ${length} bytes; at most ${messageBytesMax} are taken`);
      const end = offset + grpcHeaderBytes + length;
      if (end > bytes.length) break;
      frames.push(bytes.subarray(offset, end));
      offset = end;
    }
    this.#rest = offset === bytes.length ? undefined : bytes.subarray(offset);
    return frames;
  }
}

function checkStatus(status: IncomingHttpHeaders): void {
  const code = Number(status["grpc-status"]);
  if (status["grpc-status"] === undefined) {
    const http = status[":status"];
    throw new GrpcError(
      GrpcCode.unavailable,
      http === undefined ? "the connection was lost" : `the server answered HTTP ${http}, without a gRPC status`,
    );
  }
  if (code !== GrpcCode.ok) throw new GrpcError(code, decodeMessage(status["grpc-message"]));
}

function decodeMessage(text: string | string[] | undefined): string {
  try {
    return decodeURIComponent(String(text ?? ""));
  } catch {
    return String(text);
  }
}

/** `host:port`, with or without the schemes that Go clients know. */
export function hostPortOf(address: string): { readonly host: string; readonly port: number } {
  const match = /^(?:dns:\/\/\/|tcp:\/\/|tls:\/\/|https?:\/\/)?(\[[^\]]+\]|[^:/]+):([0-9]{1,5})$/.exec(address);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535)
    throw new GrpcError(GrpcCode.unavailable, `${JSON.stringify(address)} is neither unix:///path nor host:port`);
  return { host: (match[1] ?? "").replace(/^\[|\]$/g, ""), port };
}
