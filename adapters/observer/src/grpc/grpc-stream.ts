import { constants, type Http2ServerRequest, type Http2ServerResponse, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { errorMessage } from "@cilium-ts/std";
import { GrpcCode, GrpcError } from "./errors.ts";

const requestBytesMax = 1_048_576;
const grpcHeaderBytes = 5;
const discardMsMax = 1_000;
const unitsMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 };
const timeoutMsMax = 2 ** 31 - 1;

/**
 * One gRPC call that answers one message with many, on a bare HTTP/2 stream. Messages come framed and are passed on in pieces of many;
 * what the client does not take is waited for.
 */
export class GrpcStream {
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #response: Http2ServerResponse;
  readonly #responseHeaders: Readonly<Record<string, string>>;

  constructor(request: Http2ServerRequest, response: Http2ServerResponse, responseHeaders: Readonly<Record<string, string>>) {
    this.#stream = response.stream;
    this.#headers = request.headers;
    this.#response = response;
    this.#responseHeaders = responseHeaders;
  }

  /**
   * Reads the request, runs the handler, and answers with its outcome. The handler's signal is aborted when the client leaves, its
   * deadline passes or the server stops. Never rejects; resolves with the status.
   */
  async serve(handler: (request: Uint8Array, signal: AbortSignal) => Promise<void>, serverSignal: AbortSignal): Promise<number> {
    const gone = new AbortController();
    const leave = (): void => gone.abort();
    this.#stream.on("close", leave);
    this.#stream.on("error", leave); // A client that went away is no error of ours.
    const timeoutMs = readTimeoutMs(this.#headers["grpc-timeout"]);
    const deadline = timeoutMs === undefined ? undefined : AbortSignal.timeout(Math.min(timeoutMs, timeoutMsMax));
    const signal = AbortSignal.any([gone.signal, serverSignal, ...(deadline === undefined ? [] : [deadline])]);
    try {
      const request = await this.#readRequest(signal);
      await handler(request, signal);
      if (deadline?.aborted === true) throw new GrpcError(GrpcCode.deadlineExceeded, `the deadline of ${timeoutMs} ms has passed`);
      if (serverSignal.aborted) throw new GrpcError(GrpcCode.unavailable, "the server is shutting down; connect again");
      if (gone.signal.aborted) return GrpcCode.canceled;
      return this.#end(GrpcCode.ok, "");
    } catch (cause) {
      if (deadline?.aborted === true) return this.#end(GrpcCode.deadlineExceeded, `the deadline of ${timeoutMs} ms has passed`);
      if (cause instanceof GrpcError) return this.#end(cause.code, cause.message);
      return gone.signal.aborted ? GrpcCode.canceled : this.#end(GrpcCode.internal, errorMessage(cause));
    }
  }

  /** Resolves when the client has room for more. */
  async write(messages: Uint8Array, signal: AbortSignal): Promise<void> {
    const stream = this.#stream;
    if (stream.destroyed || signal.aborted) return;
    this.#respond();
    if (stream.write(messages)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => resolve();
    stream.once("drain", done);
    signal.addEventListener("abort", done, { once: true });
    await promise;
    stream.off("drain", done);
    signal.removeEventListener("abort", done);
  }

  /** Sends the headers, so that a client that waits knows it is being served. */
  open(): void {
    if (!this.#stream.destroyed) this.#respond();
  }

  async #readRequest(signal: AbortSignal): Promise<Buffer> {
    const parts: Buffer[] = [];
    let sizeBytes = 0;
    for await (const part of this.#stream.iterator({ destroyOnReturn: false })) {
      if (!Buffer.isBuffer(part)) continue;
      sizeBytes += part.length;
      if (sizeBytes > requestBytesMax)
        throw new GrpcError(GrpcCode.resourceExhausted, `the request is larger than ${requestBytesMax} bytes`);
      parts.push(part);
    }
    signal.throwIfAborted();
    const body = Buffer.concat(parts);
    if (body.length < grpcHeaderBytes) throw new GrpcError(GrpcCode.internal, "the request has no message");
    if (body[0] !== 0) throw new GrpcError(GrpcCode.unimplemented, "compressed requests are not supported; send grpc-encoding identity");
    const length = body.readUInt32BE(1);
    if (body.length !== grpcHeaderBytes + length) {
      throw new GrpcError(
        GrpcCode.internal,
        `the request should be one message of ${length} bytes, it has ${body.length - grpcHeaderBytes}`,
      );
    }
    return body.subarray(grpcHeaderBytes);
  }

  #respond(): void {
    if (this.#stream.headersSent) return;
    this.#stream.respond({ ":status": 200, ...this.#fixedHeaders() }, { waitForTrailers: true });
  }

  #end(code: number, message: string): number {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return code;
    const trailers = { "grpc-status": String(code), ...(message === "" ? {} : { "grpc-message": encodeURIComponent(message) }) };
    if (!stream.headersSent) {
      stream.respond({ ":status": 200, ...this.#fixedHeaders(), ...trailers }, { endStream: true });
      if (!stream.readableEnded) this.#discardRest();
      return code;
    }
    // Node's response object hangs on every stream and would send its own, empty trailers first.
    this.#response.addTrailers(trailers);
    stream.end();
    return code;
  }

  /** A client that is still sending must be let finish, or it never reads the answer; but not for ever. */
  #discardRest(): void {
    this.#stream.resume();
    const timer = setTimeout(() => this.#stream.close(constants.NGHTTP2_NO_ERROR), discardMsMax);
    this.#stream.once("close", () => clearTimeout(timer));
  }

  #fixedHeaders(): Record<string, string> {
    return { "content-type": "application/grpc+proto", "grpc-accept-encoding": "identity", ...this.#responseHeaders };
  }
}

/** `100m`: up to eight digits and a unit. What cannot be read is no deadline. */
function readTimeoutMs(header: string | string[] | undefined): number | undefined {
  const match = typeof header === "string" ? /^([0-9]{1,8})([HMSmun])$/.exec(header) : null;
  const unit = unitsMs[match?.[2] ?? ""];
  return match === null || unit === undefined ? undefined : Math.ceil(Number(match[1]) * unit);
}
