import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, type RequestOptions as HttpsRequestOptions, request as requestHttps } from "node:https";
import type { Socket } from "node:net";
import { errorMessage } from "@cilium-ts/std";
import type { ClusterAccess } from "./access.ts";
import { type ActingUser, actingHeaders } from "./acting-user.ts";
import { AccessToken, connectTimeoutMs, tcpKeepAliveDelayMs, tlsOptionsOf } from "./connect-options.ts";
import { errorFromStatus, KubernetesError } from "./kubernetes-error.ts";
import { malformed } from "./watch-event.ts";

/** Of one answer that is no watch. A page of 500 objects has some megabytes. */
const answerSizeBytesMax = 64 * 1024 * 1024;
/** Of an error's answer in a watch: enough for a Status. */
const errorSizeBytesMax = 64 * 1024;
/** Until the answer to a watch begins. */
const watchHeadersTimeoutMs = 30_000;
/** A connection that nobody uses is closed after this. */
const idleTimeoutMs = 30_000;

export interface HttpOptions {
  readonly userAgent: string;
  readonly requestTimeoutMs: number;
  readonly connectionsMax: number;
}

interface RequestOptions {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: URLSearchParams;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Doing it twice is the same as doing it once, answer included. */
  readonly repeatable: boolean;
  readonly signal: AbortSignal;
  readonly as?: ActingUser | undefined;
}

interface StreamOptions {
  /** For messages. */
  readonly request: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly signal: AbortSignal;
  readonly onOpen: (() => void) | undefined;
}

interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly text: string;
}

/** The other side did not do something in time. */
class TimedOut extends Error {}

/** HTTP/1.1 to one server: connections that are kept alive for requests, and one connection for each stream. */
export class HttpConnection implements AsyncDisposable {
  readonly #access: ClusterAccess;
  readonly #options: HttpOptions;
  /** What stands before `/api` in the server's URL, without a slash at its end. */
  readonly #root: string;
  readonly #target: HttpsRequestOptions;
  readonly #agent: HttpAgent;
  readonly #ask: typeof requestHttps;
  readonly #token: AccessToken;

  constructor(access: ClusterAccess, options: HttpOptions) {
    const url = new URL(access.server);
    const isTls = url.protocol === "https:";
    this.#access = access;
    this.#token = new AccessToken(access);
    this.#options = options;
    this.#root = url.pathname.replace(/\/+$/, "");
    this.#target = {
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: url.port === "" ? (isTls ? 443 : 80) : url.port,
      ...tlsOptionsOf(access),
    };
    const keeping = { keepAlive: true, keepAliveMsecs: tcpKeepAliveDelayMs, maxSockets: options.connectionsMax, timeout: idleTimeoutMs };
    this.#agent = isTls ? new HttpsAgent(keeping) : new HttpAgent(keeping);
    this.#ask = isTls ? requestHttps : requestHttp;
  }

  /** The parsed answer; rejects with KubernetesError for anything but success. */
  async request(options: RequestOptions): Promise<unknown> {
    const { method, path, repeatable, signal } = options;
    const label = `${method} ${path}`;
    signal.throwIfAborted();
    const deadlineMs = performance.now() + this.#options.requestTimeoutMs;
    try {
      const answer = await this.#exchange(options, deadlineMs).catch((cause) => {
        // A connection that the server closed while it was idle is found out by the next request.
        if (repeatable && isBroken(cause) && !signal.aborted) return this.#exchange(options, deadlineMs);
        throw cause;
      });
      return readAnswer(label, answer);
    } catch (cause) {
      signal.throwIfAborted();
      throw this.#failure(label, cause);
    }
  }

  /** The body of a watch as it comes, on a connection of its own, which ends with the generator. */
  async *stream(options: StreamOptions): AsyncGenerator<Buffer, void> {
    const { path, query, signal, onOpen } = options;
    signal.throwIfAborted();
    let request: ClientRequest | undefined;
    const stop = (): void => void request?.destroy();
    signal.addEventListener("abort", stop, { once: true });
    try {
      const headers = await this.#headers();
      signal.throwIfAborted();
      request = this.#ask({ ...this.#target, agent: false, method: "GET", path: this.#pathWith(path, query), headers });
      const response = await answered(request, undefined, watchHeadersTimeoutMs);
      if (response.statusCode !== 200) readAnswer(options.request, await readWhole(response, errorSizeBytesMax));
      onOpen?.();
      for await (const chunk of response) yield chunk as Buffer;
    } catch (cause) {
      signal.throwIfAborted();
      throw this.#failure(options.request, cause);
    } finally {
      signal.removeEventListener("abort", stop);
      request?.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
  }

  async #exchange(options: RequestOptions, deadlineMs: number): Promise<Answer> {
    const { method, path, query, body, contentType = "application/json", signal } = options;
    const text = body === undefined ? undefined : JSON.stringify(body);
    // Node says no length by itself for the body of a DELETE.
    const about = text === undefined ? {} : { "content-type": contentType, "content-length": Buffer.byteLength(text) };
    const headers = { ...(await this.#headers()), ...actingHeaders(options.as), ...about };
    signal.throwIfAborted();
    const request = this.#ask({ ...this.#target, agent: this.#agent, method, path: this.#pathWith(path, query), headers });
    const stop = (): void => void request.destroy();
    signal.addEventListener("abort", stop, { once: true });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      stop();
    }, deadlineMs - performance.now());
    try {
      const response = await answered(request, text);
      return await readWhole(response, answerSizeBytesMax);
    } catch (cause) {
      throw isLate ? new TimedOut("no answer in time", { cause }) : cause;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
  }

  #pathWith(path: string, query: URLSearchParams | undefined): string {
    const text = query?.toString() ?? "";
    return `${this.#root}${path}${text === "" ? "" : `?${text}`}`;
  }

  async #headers(): Promise<Record<string, string>> {
    const token = await this.#token.text();
    return {
      accept: "application/json",
      "user-agent": this.#options.userAgent,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    };
  }

  #failure(request: string, cause: unknown): KubernetesError {
    if (cause instanceof KubernetesError) return cause;
    const { server } = this.#access;
    if (cause instanceof TooLarge) {
      const message = `${request}: the answer is larger than ${cause.sizeBytesMax} bytes`;
      return new KubernetesError({ message, status: 0, reason: "TooLarge", cause });
    }
    if (cause instanceof TimedOut) {
      return new KubernetesError({ message: `${request}: ${server} did not answer in time`, status: 0, reason: "Timeout", cause });
    }
    // Where a name has several addresses there is an error for each.
    const first = cause instanceof AggregateError ? cause.errors[0] : cause;
    const message = `${request}: ${server} cannot be reached: ${errorMessage(first) || "the connection failed"}`;
    return new KubernetesError({ message, status: 0, reason: "Unreachable", cause });
  }
}

class TooLarge extends Error {
  readonly sizeBytesMax: number;

  constructor(sizeBytesMax: number) {
    super(`more than ${sizeBytesMax} bytes`);
    this.sizeBytesMax = sizeBytesMax;
  }
}

/** Sends the request; resolves with the answer's head. Its connection has a time of its own, so that a machine that is gone is soon known. */
async function answered(request: ClientRequest, body: string | undefined, timeoutMs?: number): Promise<IncomingMessage> {
  const answer = Promise.withResolvers<IncomingMessage>();
  const timers: NodeJS.Timeout[] = [];
  const bound = (delayMs: number): NodeJS.Timeout => {
    const timer = setTimeout(() => request.destroy(new TimedOut("no answer in time")), delayMs);
    timers.push(timer);
    return timer;
  };
  request.once("response", answer.resolve);
  // Stays: an error that comes later is the body's, and is told there.
  request.on("error", answer.reject);
  request.once("socket", (socket: Socket) => {
    if (!socket.connecting) return;
    const connecting = bound(connectTimeoutMs);
    socket.once("encrypted" in socket ? "secureConnect" : "connect", () => {
      clearTimeout(connecting);
      // As an option of the connection it does not reach sockets under TLS.
      socket.setKeepAlive(true, tcpKeepAliveDelayMs);
    });
  });
  if (timeoutMs !== undefined) bound(timeoutMs);
  request.end(body);
  try {
    return await answer.promise;
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
}

async function readWhole(response: IncomingMessage, sizeBytesMax: number): Promise<Answer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    sizeBytes += chunk.length;
    if (sizeBytes > sizeBytesMax) throw new TooLarge(sizeBytesMax);
  }
  const text = Buffer.concat(chunks, sizeBytes).toString("utf8");
  return { status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"], text };
}

/** The connection ended before the answer was whole. */
function isBroken(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && (cause.code === "ECONNRESET" || cause.code === "EPIPE");
}

function readAnswer(request: string, { status, retryAfter, text }: Answer): unknown {
  let body: unknown;
  try {
    body = text === "" ? undefined : JSON.parse(text);
  } catch (cause) {
    if (status < 300) throw malformed(request, `no JSON: ${JSON.stringify(text.slice(0, 80))}`, cause);
    body = text;
  }
  if (status >= 200 && status < 300) return body;
  throw errorFromStatus(body, { request, httpStatus: status, retryAfterMs: retryAfterMs(retryAfter) });
}

function retryAfterMs(header: string | undefined): number | undefined {
  return header !== undefined && /^[0-9]{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}
