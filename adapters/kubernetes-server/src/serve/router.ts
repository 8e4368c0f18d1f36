import type { IncomingMessage, ServerResponse } from "node:http";
import type { Registry } from "../resources/registry.ts";
import { StoreError } from "../store/store.ts";
import { authenticate, type Tokens } from "../security/authenticate.ts";
import { ApiError, methodNotAllowed, noSuchPath, tooManyRequests } from "./api-error.ts";
import { aggregatedDiscovery, coreVersions, groupList, groupOf, resourceList, versionDocument } from "./discovery.ts";
import type { Metrics } from "./metrics.ts";
import { negotiate } from "./negotiate.ts";
import type { OpenApi } from "./open-api.ts";
import { parseResourcePath } from "./request.ts";
import { sendDocument, sendError, sendJsonText, sendText } from "./respond.ts";
import { serveResource, type VerbContext } from "./resource-verbs.ts";

/** Requests, watches apart, that are worked on at the same time; others are told to come again. */
const inFlightMax = 1_000;

export interface RouterOptions extends VerbContext {
  readonly registry: Registry;
  readonly openApi: OpenApi;
  readonly metrics: Metrics;
  /** Undefined: everyone may do everything, which is for tests on the loopback. */
  readonly tokens: Tokens | undefined;
  readonly onError: (error: unknown) => void;
}

const openPaths = new Set(["/healthz", "/livez", "/readyz", "/version"]);

/** Answers one request, whatever happens. */
export async function route(options: RouterOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { metrics } = options;
  let isWatch = false;
  metrics.inFlight += 1;
  let counts = true;
  const leave = () => {
    if (counts) metrics.inFlight -= 1;
    counts = false;
  };
  try {
    const url = new URL(request.url ?? "/", "http://server");
    isWatch = ["true", "1"].includes(url.searchParams.get("watch") ?? "");
    if (isWatch) leave();
    else if (metrics.inFlight > inFlightMax) {
      metrics.refused += 1;
      throw tooManyRequests("the server is working on too many requests, please try again later");
    }
    await answer(options, url, request, response);
  } catch (error) {
    sendError(response, toApiError(error, options.onError));
  } finally {
    leave();
    metrics.countRequest(isWatch ? "WATCH" : (request.method ?? ""), response.statusCode);
  }
}

function toApiError(error: unknown, onError: (error: unknown) => void): ApiError {
  if (error instanceof ApiError) return error;
  onError(error);
  const message = error instanceof StoreError ? error.message : "the server failed to answer; its log says why";
  return new ApiError(500, "InternalError", `Internal error occurred: ${message}`);
}

async function answer(options: RouterOptions, url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = url.pathname.length > 1 ? url.pathname.replace(/\/+$/, "") : url.pathname;
  const isHealth = /^\/(healthz|livez|readyz)(\/|$)/.test(path);
  const user = options.tokens === undefined ? { name: "test", groups: [] } : authenticate(request, options.tokens);
  if (user === undefined && !isHealth && !openPaths.has(path)) {
    throw new ApiError(401, "Unauthorized", "Unauthorized: a client certificate of this server's authority or a bearer token is needed");
  }
  const resourcePath = parseResourcePath(path);
  if (resourcePath !== undefined) {
    const resource = options.registry.find(resourcePath.apiVersion, resourcePath.plural);
    const isKnown = resourcePath.subresource === undefined || (resourcePath.subresource === "status" && resource?.hasStatus === true);
    if (resource === undefined || !isKnown || (resourcePath.namespace !== undefined && !resource.isNamespaced)) throw noSuchPath();
    const client = `${user?.name ?? ""} ${request.socket.remoteAddress ?? ""}`;
    return await serveResource(options, resource, resourcePath, { request, response, query: url.searchParams, client });
  }
  if (request.method !== "GET" && request.method !== "HEAD") throw methodNotAllowed();
  if (isHealth) return sendText(response, 200, "text/plain; charset=utf-8", "ok");
  serveDocument(options, path, request, response);
}

function serveDocument(options: RouterOptions, path: string, request: IncomingMessage, response: ServerResponse): void {
  const { registry } = options;
  if (path === "/metrics") return sendText(response, 200, "text/plain; version=0.0.4", options.metrics.text(options.store, options.hub));
  if (path === "/version") return sendDocument(response, 200, versionDocument());
  if (path === "/") return sendDocument(response, 200, { paths: ["/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v3", "/readyz", "/version"] });
  if (path === "/openapi/v3") return sendDocument(response, 200, options.openApi.index());
  if (path.startsWith("/openapi/v3/")) return serveOpenApi(options.openApi, path.slice("/openapi/v3/".length), response);
  const representation = negotiate(request.headers.accept);
  if (path === "/api" || path === "/apis") {
    const isCore = path === "/api";
    const whole = isCore ? coreVersions() : groupList(registry);
    const document = representation.form === "discovery" ? aggregatedDiscovery(registry, isCore) : whole;
    return sendJsonText(response, 200, representation, JSON.stringify(document));
  }
  const [, root, group = "", version] = path.split("/");
  const apiVersion = root === "api" ? group : `${group}/${version}`;
  const document = root === "apis" && version === undefined ? groupOf(registry, group) : resourceList(registry, apiVersion);
  if ((root !== "api" && root !== "apis") || document === undefined) throw noSuchPath();
  sendDocument(response, 200, document);
}

function serveOpenApi(openApi: OpenApi, path: string, response: ServerResponse): void {
  const document = openApi.document(path.replace(/^apis?\//, ""));
  if (document === undefined) throw noSuchPath();
  response.setHeader("ETag", `"${document.hash}"`);
  sendText(response, 200, "application/json", document.text);
}
