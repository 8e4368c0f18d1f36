import type { IncomingMessage, ServerResponse } from "node:http";
import { errorMessage } from "@cilium-ts/std";
import { Admission } from "./admission.ts";
import type { AgentSocket } from "./agent-socket.ts";
import type { Answer } from "./answer.ts";
import { BodyProblem, readJson } from "./body.ts";
import { RequestCounters } from "./counters.ts";
import { type ApiRequest, type Route, Router } from "./router.ts";

const agentBasePath = "/v1";
/** In the counters only: nobody is there to be told. */
const callerLeftStatus = 499;
/** Requests that change something and run at once, and those that may wait for their turn. */
const workRunningMax = 64;
const workWaitingMax = 1_024;
/** The same for requests that only read: they do not wait behind work. */
const readsRunningMax = 64;
const readsWaitingMax = 1_024;

/** What the API can tell about itself. Made by the caller, so that it can be looked at from outside. */
export class ApiActivity {
  readonly requests = new RequestCounters();
  readonly work = new Admission({ runningMax: workRunningMax, waitingMax: workWaitingMax });
  readonly reads = new Admission({ runningMax: readsRunningMax, waitingMax: readsWaitingMax });
}

export interface ServeOptions {
  readonly socket: AgentSocket;
  readonly routes: readonly Route[];
  readonly signal: AbortSignal;
  readonly activity?: ApiActivity;
  /** What stands before the routes' paths; `/v1` when absent. */
  readonly basePath?: string;
  /** A handler threw: the caller was told with a 500. */
  readonly onFailure?: (request: string, failure: unknown) => void;
  /** A request was answered. `path` is the route's; empty for what matched none. */
  readonly onServed?: (request: { method: string; path: string; status: number; seconds: number }) => void;
}

/**
 * Serves the API until aborted. There is no rate limit: what exceeds the number that runs at once waits, and only when 1,024 wait is
 * one turned away with a 503, and counted. When aborted, requests under way are told by their signal and waited for.
 */
export async function serveAgentApi(options: ServeOptions): Promise<void> {
  const { socket, signal, activity = new ApiActivity(), onFailure = () => {}, onServed = () => {}, basePath = agentBasePath } = options;
  const api = new Api({ router: new Router(options.routes), activity, onFailure, onServed, basePath, signal });
  const underway = new Set<Promise<void>>();
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const served = api.serve(request, response).finally(() => underway.delete(served));
    underway.add(served);
  };
  using _served = socket.serve(serve);
  if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  while (underway.size > 0) await Promise.all(underway);
}

interface Outcome {
  readonly status: number;
  /** Undefined: no body. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

class Api {
  readonly #router: Router;
  readonly #activity: ApiActivity;
  readonly #onFailure: (request: string, failure: unknown) => void;
  readonly #onServed: NonNullable<ServeOptions["onServed"]>;
  readonly #basePath: string;
  readonly #signal: AbortSignal;

  constructor(options: {
    router: Router;
    activity: ApiActivity;
    onFailure: (request: string, failure: unknown) => void;
    onServed: NonNullable<ServeOptions["onServed"]>;
    basePath: string;
    signal: AbortSignal;
  }) {
    this.#router = options.router;
    this.#activity = options.activity;
    this.#onFailure = options.onFailure;
    this.#onServed = options.onServed;
    this.#basePath = options.basePath;
    this.#signal = options.signal;
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const beganMs = performance.now();
    const left = new AbortController();
    response.once("close", () => left.abort(new Error("the caller has gone away")));
    const signal = AbortSignal.any([this.#signal, left.signal]);
    const url = URL.parse(request.url ?? "", "http://agent");
    const path = url?.pathname ?? "";
    const { outcome, routePath } = await this.#answer(request, path, url?.searchParams ?? new URLSearchParams(), signal);
    const served = { method: request.method ?? "", path: routePath, status: outcome.status };
    this.#activity.requests.add(served.method, served.path, served.status);
    this.#onServed({ ...served, seconds: (performance.now() - beganMs) / 1_000 });
    try {
      send(request, response, outcome);
    } catch (cause) {
      this.#onFailure(`${request.method} ${path}`, cause); // The answer cannot be written as JSON.
      response.destroy();
    }
  }

  async #answer(
    request: IncomingMessage,
    path: string,
    query: URLSearchParams,
    signal: AbortSignal,
  ): Promise<{ outcome: Outcome; routePath: string }> {
    const method = request.method ?? "";
    const basePath = this.#basePath;
    if (path !== basePath && !path.startsWith(`${basePath}/`)) {
      return { outcome: problem(404, `path ${path} was not found: this API is under ${basePath}`), routePath: "" };
    }
    const match = this.#router.match(method, path.slice(basePath.length));
    if (match.kind === "none") return { outcome: problem(404, `path ${path} was not found`), routePath: "" };
    if (match.kind === "bad-escape")
      return { outcome: problem(400, `path ${path} has a % that is not followed by two hexadecimal digits`), routePath: "" };
    if (match.kind === "other-method") {
      const allow = match.allowed.join(", ");
      return {
        outcome: { ...problem(405, `method ${method} is not allowed on ${path}, only ${allow}`), headers: { allow } },
        routePath: "",
      };
    }
    const { route, parameters } = match;
    const outcome = await this.#handle(request, route, { parameters, query, headers: request.headers, body: undefined, signal });
    return { outcome, routePath: route.path };
  }

  async #handle(message: IncomingMessage, route: Route, request: ApiRequest): Promise<Outcome> {
    const admission = route.method === "GET" ? this.#activity.reads : this.#activity.work;
    const say = (status: number, message: string): Outcome =>
      route.problemBody === undefined ? problem(status, message) : { status, body: route.problemBody(status, message) };
    if (this.#signal.aborted) return say(503, stopping);
    try {
      const body = await readJson(message);
      const result = await admission.run(() => route.handle({ ...request, body }), request.signal);
      if (result.kind === "full") return say(503, `${workWaitingMax} requests are waiting already: try again later`);
      return outcomeOf(result.value);
    } catch (cause) {
      if (cause instanceof BodyProblem) return say(cause.status, cause.message);
      if (this.#signal.aborted) return say(503, stopping);
      if (request.signal.aborted) return say(callerLeftStatus, "the caller has gone away");
      this.#onFailure(`${route.method} ${route.path}`, cause);
      return route.problemBody === undefined ? { status: 500, body: errorMessage(cause) } : say(500, errorMessage(cause));
    }
  }
}

/** A refusal travels as a JSON string, as callers expect of the operations' own errors. */
function outcomeOf(answer: Answer): Outcome {
  return "error" in answer ? { status: answer.status, body: answer.error } : { status: answer.status, body: answer.body };
}

const stopping = "the agent is stopping: try again later";

/** What is wrong with the request as a request, before any operation has seen it. */
function problem(code: number, message: string): Outcome {
  return { status: code, body: { code, message } };
}

function send(request: IncomingMessage, response: ServerResponse, outcome: Outcome): void {
  if (response.destroyed) return;
  // What of a body has not been read would be taken for the next request.
  const headers = { ...outcome.headers, ...(!request.complete && { connection: "close" }) };
  if (outcome.body === undefined) {
    response.writeHead(outcome.status, { ...headers, "content-length": 0 }).end();
    return;
  }
  const text = Buffer.from(`${JSON.stringify(outcome.body)}\n`);
  response.writeHead(outcome.status, { ...headers, "content-type": "application/json", "content-length": text.length }).end(text);
}
