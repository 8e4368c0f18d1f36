import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { toJsonString } from "@bufbuild/protobuf";
import type { Metrics } from "@cilium-ts/metrics";
import { flowpb } from "@cilium-ts/observer";
import { parseViewQuery, type Who } from "@cilium-ts/service-map";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { ChangeRoutes } from "../changes/change-routes.ts";
import type { FlowSource } from "../hubble/flow-source.ts";
import type { PolicyRoutes } from "../policies/policy-routes.ts";
import type { Allowed, SignIn } from "../sign-in/sign-in.ts";
import { type AllowedNamespaces, TooManyViews, type Views } from "../views/views.ts";
import { HttpProblem, jsonHeaders, sendJson, sendProblem, sendText } from "./answers.ts";
import type { StaticFiles } from "./static-files.ts";
import { ViewStreams } from "./view-stream.ts";

export interface HttpServerOptions {
  readonly clock: Clock;
  readonly host: string;
  readonly port: number;
  /** Where the page is, with a slash at both ends: `/`, `/hubble/`. */
  readonly basePath: string;
  readonly source: FlowSource;
  readonly views: Views;
  readonly signIn: SignIn;
  readonly policies: PolicyRoutes;
  readonly changes: ChangeRoutes;
  /** Undefined: another server has the page. */
  readonly files: StaticFiles | undefined;
  readonly allowsOtherOrigins: boolean;
  /** Filled with the current values when it is asked for. */
  readonly metrics: (streams: ViewStreams, refused: number) => Metrics;
}

/** Browsers that are pushed to at a time. */
const streamCountMax = 1_000;
const connectionCountMax = 5_000;
const findTimeoutMs = 10_000;

/** `GET BASE/api/view`, `GET BASE/api/flow`, the page, and the probes. */
export class HttpServer implements AsyncDisposable {
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  readonly #streams: ViewStreams;
  #refused = 0;

  /** Throws, naming the port, when it is taken. */
  static async start(options: HttpServerOptions): Promise<HttpServer> {
    const server = new HttpServer(options);
    const { host, port } = options;
    server.#server.listen({ port, ...(host === "" ? {} : { host }) });
    try {
      await once(server.#server, "listening");
    } catch (cause) {
      server.#streams[Symbol.dispose]();
      throw new Error(`cannot serve on port ${port}: ${errorMessage(cause)}`, { cause });
    }
    return server;
  }

  private constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#streams = new ViewStreams(options.views, options.clock);
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.maxConnections = connectionCountMax;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#streams[Symbol.dispose]();
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server, "close");
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#route(request, response);
    } catch (cause) {
      if (response.headersSent) response.destroy();
      else if (cause instanceof HttpProblem) sendProblem(response, cause);
      else sendProblem(response, new HttpProblem(500, errorMessage(cause)));
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { basePath, signIn, policies, changes } = this.#options;
    const url = URL.parse(request.url ?? "/", "http://localhost");
    if (url === null) throw new HttpProblem(400, "the address cannot be read");
    const isProbe = this.#answerProbe(url.pathname, response);
    if (isProbe) return;
    if (`${url.pathname}/` === basePath) {
      response.writeHead(308, { location: `${basePath}${url.search}` }).end();
      return;
    }
    if (!url.pathname.startsWith(basePath)) throw new HttpProblem(404, `nothing is here: the page is at ${basePath}`);
    const path = url.pathname.slice(basePath.length);
    if ((await signIn.answer?.(path, url, request, response)) === true) return;
    const isQuestion = request.method === "POST" && (path.startsWith("api/policies/") || path.startsWith("api/changes/"));
    if (request.method !== "GET" && request.method !== "HEAD" && !isQuestion) throw new HttpProblem(405, "only GET is served here");
    if (signIn.isPageOpen === true && !path.startsWith("api/")) return this.#answerFile(path, request, response);
    const access = await signIn.check(request, response);
    if (access.kind === "refused") throw new HttpProblem(access.status, access.reason, access.headers);
    if (this.#options.allowsOtherOrigins) response.setHeader("access-control-allow-origin", "*");
    if (path === "api/view") return this.#answerView(url, access, request, response);
    if (path === "api/flow") return this.#answerFlow(url, access.namespaces, response);
    if (path === "api/who") return this.#answerWho(access, response);
    if (path.startsWith("api/changes"))
      return changes.answer(path.slice("api/changes".length), url.searchParams, access, request, response);
    if (path.startsWith("api/policies"))
      return policies.answer(path.slice("api/policies".length), url.searchParams, access.namespaces, request, response);
    if (path.startsWith("api/")) throw new HttpProblem(404, `there is no ${path}: the page was made by another version; load it again`);
    this.#answerFile(path, request, response);
  }

  #answerFile(path: string, request: IncomingMessage, response: ServerResponse): void {
    const { files } = this.#options;
    if (files === undefined) throw new HttpProblem(404, "this backend was started without the page (UI_STATIC_DIR)");
    files.serve(decodeURIComponent(path), String(request.headers["accept-encoding"] ?? ""), response);
  }

  #answerWho({ user, namespaces }: Allowed, response: ServerResponse): void {
    const canSignOut = this.#options.signIn.canSignOut === true;
    const who: Who = { user, namespaces: namespaces === undefined ? null : [...namespaces], canSignOut };
    sendJson(response, 200, who);
  }

  #answerProbe(path: string, response: ServerResponse): boolean {
    const { source } = this.#options;
    if (path === "/healthz") sendText(response, 200, "ok\n");
    else if (path === "/readyz") {
      const { connection, reason } = source.state;
      if (connection === "connected") sendText(response, 200, "ok\n");
      else sendText(response, 503, `no flows from Hubble: ${reason === "" ? connection : reason}\n`);
    } else if (path === "/metrics") sendText(response, 200, this.#options.metrics(this.#streams, this.#refused).text());
    else return false;
    return true;
  }

  #answerView(url: URL, { namespaces, untilMs }: Allowed, request: IncomingMessage, response: ServerResponse): void {
    const parsed = parseViewQuery(url.searchParams);
    if (parsed.kind === "problems") throw new HttpProblem(400, parsed.problems.join("; "));
    if (this.#streams.count >= streamCountMax) {
      this.#refused += 1;
      throw new HttpProblem(503, `${streamCountMax} browsers are connected: close some, or try again later`);
    }
    try {
      const view = this.#options.views.open(parsed.query, namespaces);
      this.#streams.add(response, view, { position: url.searchParams.get("position") ?? "", untilMs });
    } catch (cause) {
      if (!(cause instanceof TooManyViews)) throw cause;
      throw new HttpProblem(503, cause.message);
    }
    request.resume();
  }

  async #answerFlow(url: URL, allowed: AllowedNamespaces, response: ServerResponse): Promise<void> {
    const uuid = url.searchParams.get("uuid") ?? "";
    const timeMs = Number(url.searchParams.get("time") ?? Number.NaN);
    if (!/^[\w-]{1,100}$/.test(uuid) || !(timeMs > 0 && timeMs < 8.64e15))
      throw new HttpProblem(400, "uuid and time are needed, as they stand in the flow");
    const signal = AbortSignal.any([AbortSignal.timeout(findTimeoutMs), closedSignal(response)]);
    let flow: flowpb.Flow | undefined;
    try {
      flow = await this.#options.source.find(uuid, timeMs, signal);
    } catch (cause) {
      throw new HttpProblem(502, `Hubble could not be asked: ${errorMessage(cause)}`);
    }
    const isAllowed =
      allowed === undefined || allowed.has(flow?.source?.namespace ?? "") || allowed.has(flow?.destination?.namespace ?? "");
    if (flow === undefined || !isAllowed) throw new HttpProblem(404, "Hubble has this flow no more: its memory is bounded");
    response.writeHead(200, jsonHeaders).end(toJsonString(flowpb.FlowSchema, flow, { useProtoFieldName: true }));
  }
}

function closedSignal(response: ServerResponse): AbortSignal {
  const stop = new AbortController();
  response.once("close", () => stop.abort());
  return stop.signal;
}
