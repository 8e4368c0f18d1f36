import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { StoreError } from "../store.ts";

/** Certificates in PEM; for endpoints that begin with https. */
export interface EtcdTls {
  readonly authority: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}

export interface ConnectionOptions {
  /** Such as `http://127.0.0.1:2379`; tried in turn. */
  readonly endpoints: readonly string[];
  readonly tls: EtcdTls | undefined;
}

const connectTimeoutMs = 2_000;
const callTimeoutMs = 5_000;
/** What etcd may send before it is read, so that a long list does not come in small steps. */
const windowSizeBytes = 8 * 1024 * 1024;
/** A peer that does not answer a ping for this long is given up. */
const pingIntervalMs = 5_000;
/** The largest message that is taken; etcd's own limit for one request is 1.5 MiB, and a page of a list holds many. */
const messageSizeMax = 512 * 1024 * 1024;

/** A call failed; whether the server has acted on it may be unknown. */
export class CallError extends StoreError {
  /** The request never left this process. */
  readonly wasSent: boolean;

  constructor(message: string, wasSent: boolean, cause?: unknown) {
    super(message, { cause });
    this.wasSent = wasSent;
  }
}

/** What the server itself answers when it cannot serve anybody, being without a leader or too slow; another server may. */
const awayStatuses: readonly string[] = ["4", "14"];

/** The server understood and said no; it would say so again. */
class Refusal extends CallError {}

/** gRPC to one of several servers; another is tried when that one fails. */
export class EtcdConnection implements Disposable {
  readonly #options: ConnectionOptions;
  #next = 0;
  #session: Promise<ClientHttp2Session> | undefined;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** One request, one answer. `isRepeatable`: asking again does no harm, even if the first question was heard. */
  async call(path: string, request: Buffer, isRepeatable: boolean): Promise<Buffer> {
    let problem: unknown;
    for (let tries = this.#options.endpoints.length + 1; tries > 0; tries -= 1) {
      try {
        return await this.#callOnce(path, request);
      } catch (cause) {
        problem = cause;
        if (!(cause instanceof CallError) || cause instanceof Refusal || (cause.wasSent && !isRepeatable) || this.#isClosed) throw cause;
      }
    }
    throw problem;
  }

  /** A request with many answers. Resolves when the server ends it or the signal aborts; rejects when the connection fails. */
  async stream(path: string, request: Buffer, onMessage: (message: Buffer) => void, signal: AbortSignal): Promise<void> {
    const session = await this.#connected();
    const stream = open(session, path, { hasleader: "true" });
    const ended = Promise.withResolvers<void>();
    const stop = () => stream.close();
    signal.addEventListener("abort", stop, { once: true });
    const frames = new FrameReader((message) => onMessage(message));
    stream.on("data", (chunk: Buffer) => {
      try {
        frames.push(chunk);
      } catch (cause) {
        stream.close();
        ended.reject(cause);
      }
    });
    stream.once("error", (cause) => ended.reject(new CallError(`the connection to etcd broke`, true, cause)));
    stream.once("close", () => ended.resolve());
    stream.write(frame(request));
    try {
      await ended.promise;
    } finally {
      signal.removeEventListener("abort", stop);
      if (!signal.aborted) this.#turnAway();
    }
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#turnAway();
  }

  async #callOnce(path: string, request: Buffer): Promise<Buffer> {
    const session = await this.#connected();
    const stream = open(session, path, {});
    const answered = Promise.withResolvers<Buffer>();
    let status: string | undefined;
    let reason = "";
    let answer: Buffer | undefined;
    const noteStatus = (headers: Record<string, unknown>) => {
      if (headers["grpc-status"] === undefined) return;
      status = String(headers["grpc-status"]);
      reason = decodeURIComponent(String(headers["grpc-message"] ?? ""));
    };
    const timer = setTimeout(() => stream.destroy(new Error(`no answer within ${callTimeoutMs} ms`)), callTimeoutMs);
    const frames = new FrameReader((message) => {
      answer = message;
    });
    stream.on("response", noteStatus);
    stream.on("trailers", noteStatus);
    stream.on("data", (chunk: Buffer) => {
      try {
        frames.push(chunk);
      } catch (cause) {
        stream.destroy(cause as Error);
      }
    });
    stream.once("error", (cause) => answered.reject(new CallError(`etcd did not answer`, true, cause)));
    stream.once("close", () => {
      if (status === "0" && answer !== undefined) answered.resolve(answer);
      else if (status === undefined || status === "0") answered.reject(new CallError("etcd's answer broke off", true));
      else if (awayStatuses.includes(status)) answered.reject(new CallError(`etcd cannot answer: ${reason}`, true));
      else answered.reject(new Refusal(`etcd refused: ${reason}`, true));
    });
    stream.end(frame(request));
    try {
      return await answered.promise;
    } catch (cause) {
      // The watch and all other calls are on this connection too.
      if (!(cause instanceof Refusal)) this.#turnAway();
      throw cause;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The next call goes to the next server. */
  #turnAway(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#next += 1;
    session?.then(
      (open) => open.destroy(),
      () => undefined,
    );
  }

  #connected(): Promise<ClientHttp2Session> {
    if (this.#isClosed) return Promise.reject(new CallError("the store is closed", false));
    if (this.#session !== undefined) return this.#session;
    const endpoint = this.#options.endpoints[this.#next % this.#options.endpoints.length] ?? "";
    const session = connectTo(endpoint, this.#options.tls, () => {
      if (this.#session === session) this.#turnAway();
    });
    this.#session = session;
    return session;
  }
}

function open(session: ClientHttp2Session, path: string, more: Record<string, string>): ClientHttp2Stream {
  return session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...more });
}

async function connectTo(endpoint: string, tls: EtcdTls | undefined, onGone: () => void): Promise<ClientHttp2Session> {
  const ready = Promise.withResolvers<ClientHttp2Session>();
  const session = connect(endpoint, {
    settings: { initialWindowSize: windowSizeBytes },
    ...(tls !== undefined && { ca: tls.authority, cert: tls.certificate, key: tls.key }),
  });
  const timer = setTimeout(() => session.destroy(new Error(`no connection within ${connectTimeoutMs} ms`)), connectTimeoutMs);
  session.once("connect", () => {
    session.setLocalWindowSize(windowSizeBytes);
    ready.resolve(session);
  });
  session.on("error", (cause) => ready.reject(new CallError(`cannot connect to etcd at ${endpoint}`, false, cause)));
  session.once("close", () => {
    ready.reject(new CallError(`cannot connect to etcd at ${endpoint}`, false));
    onGone();
  });
  ready.promise.catch(() => onGone());
  try {
    await ready.promise;
  } finally {
    clearTimeout(timer);
  }
  keepAlive(session);
  return session;
}

/** Finds out about a server that is there no more, or was stopped. */
function keepAlive(session: ClientHttp2Session): void {
  let isAnswered = true;
  const timer = setInterval(() => {
    if (!isAnswered) session.destroy(new Error(`etcd did not answer a ping within ${pingIntervalMs} ms`));
    else if (!session.closed && !session.destroyed) {
      isAnswered = false;
      session.ping((error) => {
        isAnswered = error === null;
      });
    }
  }, pingIntervalMs).unref();
  session.once("close", () => clearInterval(timer));
}

/** gRPC's frame: one byte that says whether the message is compressed, its length, the message. */
function frame(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

class FrameReader {
  readonly #onMessage: (message: Buffer) => void;
  #chunks: Buffer[] = [];
  #size = 0;

  constructor(onMessage: (message: Buffer) => void) {
    this.#onMessage = onMessage;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    while (this.#size >= 5) {
      const first = this.#chunks[0] ?? chunk;
      const head = first.length >= 5 ? first : this.#join();
      const size = head.readUInt32BE(1);
      if (head[0] !== 0 || size > messageSizeMax) throw new CallError("etcd sent what is no gRPC message", true);
      if (this.#size < 5 + size) return;
      const all = this.#join();
      this.#chunks = [all.subarray(5 + size)];
      this.#size -= 5 + size;
      this.#onMessage(all.subarray(5, 5 + size));
    }
  }

  #join(): Buffer {
    const all = this.#chunks.length === 1 ? this.#chunks[0] : undefined;
    const joined = all ?? Buffer.concat(this.#chunks, this.#size);
    this.#chunks = [joined];
    return joined;
  }
}
