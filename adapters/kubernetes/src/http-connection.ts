import { errorMessage } from "@cilium-ts/std";
import { Client, type Dispatcher, errors, Pool } from "undici";
import type { ClusterAccess } from "./access.ts";
import { AccessToken, connectOptionsOf } from "./connect-options.ts";
import { errorFromStatus, KubernetesError } from "./kubernetes-error.ts";
import { malformed } from "./watch-event.ts";

/** Of one answer that is no watch. A page of 500 objects has some megabytes. */
const answerSizeBytesMax = 64 * 1024 * 1024;
/** Of an error's answer in a watch: enough for a Status. */
const errorSizeBytesMax = 64 * 1024;
/** Until the answer to a watch begins. */
const watchHeadersTimeoutMs = 30_000;

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
}

interface StreamOptions {
  /** For messages. */
  readonly request: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly signal: AbortSignal;
  readonly onOpen: (() => void) | undefined;
}

/** HTTP/1.1 to one server: a pool that keeps connections alive for requests, and one connection for each stream. */
export class HttpConnection implements AsyncDisposable {
  readonly #access: ClusterAccess;
  readonly #options: HttpOptions;
  readonly #origin: string;
  /** What stands before `/api` in the server's URL, without a slash at its end. */
  readonly #root: string;
  readonly #pool: Pool;
  readonly #token: AccessToken;

  constructor(access: ClusterAccess, options: HttpOptions) {
    const url = new URL(access.server);
    this.#access = access;
    this.#token = new AccessToken(access);
    this.#options = options;
    this.#origin = url.origin;
    this.#root = url.pathname.replace(/\/+$/, "");
    this.#pool = new Pool(this.#origin, {
      ...this.#clientOptions(),
      connections: options.connectionsMax,
      maxResponseSize: answerSizeBytesMax,
    });
  }

  /** The parsed answer; rejects with KubernetesError for anything but success. */
  async request(options: RequestOptions): Promise<unknown> {
    const { method, path, query, body, contentType = "application/json", repeatable, signal } = options;
    const label = `${method} ${path}`;
    signal.throwIfAborted();
    const deadline = AbortSignal.timeout(this.#options.requestTimeoutMs);
    const send = async (): Promise<{ response: Dispatcher.ResponseData; text: string }> => {
      const response = await this.#pool.request({
        method,
        path: this.#pathWith(path, query),
        headers: { ...(await this.#headers()), ...(body !== undefined && { "content-type": contentType }) },
        body: body === undefined ? null : JSON.stringify(body),
        signal: AbortSignal.any([signal, deadline]),
      });
      return { response, text: await response.body.text() };
    };
    let answer: { response: Dispatcher.ResponseData; text: string };
    try {
      answer = await send().catch((cause) => {
        // A connection that the server closed while it was idle is found out by the next request.
        if (repeatable && cause instanceof errors.SocketError && !signal.aborted) return send();
        throw cause;
      });
    } catch (cause) {
      signal.throwIfAborted();
      throw this.#failure(label, cause);
    }
    return readAnswer(label, answer.response, answer.text);
  }

  /** The body of a watch as it comes, on a connection of its own, which ends with the generator. */
  async *stream(options: StreamOptions): AsyncGenerator<Buffer, void> {
    const { request, path, query, signal, onOpen } = options;
    signal.throwIfAborted();
    const client = new Client(this.#origin, { ...this.#clientOptions(), headersTimeout: watchHeadersTimeoutMs, bodyTimeout: 0 });
    try {
      const headers = await this.#headers();
      const response = await client.request({ method: "GET", path: this.#pathWith(path, query), headers, signal });
      if (response.statusCode !== 200) readAnswer(request, response, await beginning(response.body));
      onOpen?.();
      for await (const chunk of response.body) yield chunk;
    } catch (cause) {
      signal.throwIfAborted();
      throw cause instanceof KubernetesError ? cause : this.#failure(request, cause);
    } finally {
      await client.destroy().catch(() => {}); // What was still under way ends with an error that nobody waits for.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }

  #clientOptions(): Client.Options {
    return { allowH2: false, keepAliveTimeout: 30_000, connect: connectOptionsOf(this.#access) };
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
    const server = this.#access.server;
    if (cause instanceof errors.ResponseExceededMaxSizeError) {
      return new KubernetesError({
        message: `${request}: the answer is larger than ${answerSizeBytesMax} bytes`,
        status: 0,
        reason: "TooLarge",
        cause,
      });
    }
    if (isTimeout(cause)) {
      return new KubernetesError({ message: `${request}: ${server} did not answer in time`, status: 0, reason: "Timeout", cause });
    }
    const message = `${request}: ${server} cannot be reached: ${errorMessage(cause) || "the connection failed"}`;
    return new KubernetesError({ message, status: 0, reason: "Unreachable", cause });
  }
}

function isTimeout(cause: unknown): boolean {
  if (
    cause instanceof errors.HeadersTimeoutError ||
    cause instanceof errors.BodyTimeoutError ||
    cause instanceof errors.ConnectTimeoutError
  )
    return true;
  return cause instanceof Error && cause.name === "TimeoutError";
}

function readAnswer(request: string, response: Dispatcher.ResponseData, text: string): unknown {
  let body: unknown;
  try {
    body = text === "" ? undefined : JSON.parse(text);
  } catch (cause) {
    if (response.statusCode < 300) throw malformed(request, `no JSON: ${JSON.stringify(text.slice(0, 80))}`, cause);
    body = text;
  }
  if (response.statusCode >= 200 && response.statusCode < 300) return body;
  throw errorFromStatus(body, { request, httpStatus: response.statusCode, retryAfterMs: retryAfterMs(response.headers["retry-after"]) });
}

function retryAfterMs(header: string | string[] | undefined): number | undefined {
  return typeof header === "string" && /^[0-9]{1,6}$/.test(header) ? Number(header) * 1000 : undefined;
}

async function beginning(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    sizeBytes += chunk.length;
    if (sizeBytes > errorSizeBytesMax) break;
  }
  return Buffer.concat(chunks).toString("utf8");
}
