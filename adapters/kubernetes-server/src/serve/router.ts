import type { IncomingMessage, ServerResponse } from "node:http";
import { attributesOf, forbidden } from "../authorize/attributes.ts";
import { checkGrant } from "../authorize/grants.ts";
import { actingUser, impersonates } from "../authorize/impersonate.ts";
import type { Rbac } from "../authorize/rbac.ts";
import { review } from "../authorize/reviews.ts";
import { authenticatedGroup, isMaster, mastersGroup, type User } from "../authorize/user.ts";
import type { Registry } from "../resources/registry.ts";
import type { Resource } from "../resources/resource.ts";
import type { Mutable } from "../schema/schema.ts";
import { authenticate, type Tokens } from "../security/authenticate.ts";
import { StoreError } from "../store/store.ts";
import { ApiError, badRequest, methodNotAllowed, noSuchPath, tooManyRequests } from "./api-error.ts";
import { mediaType, readBody } from "./body.ts";
import { aggregatedDiscovery, coreVersions, groupList, groupOf, resourceList, versionDocument } from "./discovery.ts";
import type { WriteGuard } from "./draft.ts";
import type { Metrics } from "./metrics.ts";
import { negotiate, type Representation } from "./negotiate.ts";
import { emptySwagger, type OpenApi, swaggerProtobufType } from "./open-api.ts";
import { parseResourcePath, type ResourcePath } from "./request.ts";
import { readObject, serveResource, type VerbContext } from "./resource-verbs.ts";
import { sendBytes, sendDocument, sendError, sendJsonText, sendText } from "./respond.ts";

/** Requests, watches apart, that are worked on at the same time; others are told to come again. */
const inFlightMax = 1_000;

export interface RouterOptions extends VerbContext {
  readonly rbac: Rbac;
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
    const target = `http://server${request.url ?? "/"}`;
    if (!URL.canParse(target)) throw badRequest("the path of the request cannot be understood");
    const url = new URL(target);
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
  const isOpen = isHealth || openPaths.has(path);
  const sender = options.tokens === undefined ? tester : authenticate(request, options.tokens);
  if (sender === undefined && !isOpen) {
    throw new ApiError(401, "Unauthorized", "Unauthorized: a client certificate of this server's authority or a bearer token is needed");
  }
  const resourcePath = parseResourcePath(path);
  const user = sender === undefined || isOpen ? undefined : authorized(options.rbac, sender, path, resourcePath, url.searchParams, request);
  if (resourcePath !== undefined && user !== undefined) {
    const resource = options.registry.find(resourcePath.apiVersion, resourcePath.plural);
    if (
      resource === undefined ||
      !hasSubresource(resource, resourcePath.subresource) ||
      (resourcePath.namespace !== undefined && !resource.isNamespaced)
    )
      throw noSuchPath();
    if (resource.isReview && request.method === "POST" && resourcePath.name === undefined)
      return await serveReview(options, user, resource, resourcePath, request, response);
    const client = `${user.name} ${request.socket.remoteAddress ?? ""}`;
    const exchange = { request, response, query: url.searchParams, client };
    if (isMaster(user)) return await serveResource(options, resource, resourcePath, exchange);
    const guard = guardOf(options.rbac, user, resourcePath);
    return await serveResource(options, resource, resourcePath, { ...exchange, guard });
  }
  if (request.method !== "GET" && request.method !== "HEAD") throw methodNotAllowed();
  if (isHealth) sendText(response, 200, "text/plain; charset=utf-8", "ok");
  else serveDocument(options, path, request, response);
}

/** Tests on the loopback come without a certificate. */
const tester: User = { name: "test", groups: [mastersGroup, authenticatedGroup] };

/** The user as whom the request is answered. Throws when that one may not do it. */
function authorized(
  rbac: Rbac,
  sender: User,
  path: string,
  resourcePath: ResourcePath | undefined,
  query: URLSearchParams,
  request: IncomingMessage,
): User {
  const user = impersonates(request) ? actingUser(rbac, sender, request) : sender;
  if (isMaster(user)) return user;
  const method = request.method ?? "";
  const attributes =
    resourcePath === undefined || resourcePath.plural === ""
      ? ({ kind: "path", verb: method === "HEAD" ? "get" : method.toLowerCase(), path } as const)
      : attributesOf(method, resourcePath, query);
  const { allowed, reason } = rbac.decide(user, attributes);
  if (!allowed) throw forbidden(user, attributes, reason);
  return user;
}

/** What is applied and not there yet is created, which is a right of its own; and nobody grants more than they have. */
function guardOf(rbac: Rbac, user: User, path: ResourcePath): WriteGuard {
  return (resource, object, previous) => {
    if (previous === undefined && path.name !== undefined) {
      const attributes = attributesOf("POST", path, new URLSearchParams());
      const { allowed, reason } = rbac.decide(user, attributes);
      if (!allowed) throw forbidden(user, attributes, reason);
    }
    checkGrant(rbac, user, resource, object, previous);
  };
}

async function serveReview(
  { rbac, tokens }: RouterOptions,
  user: User,
  resource: Resource,
  { namespace = "" }: ResourcePath,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const asked = readObject(resource, await readBody(request), mediaType(request.headers["content-type"]));
  sendDocument(response, 201, review({ rbac, tokens: tokens ?? new Map(), user, namespace }, resource, asked));
}

function hasSubresource(resource: Resource, name: string | undefined): boolean {
  return name === undefined || (name === "status" && resource.hasStatus) || (name === "scale" && resource.scale !== undefined);
}

const rootPaths = ["/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v3", "/readyz", "/version"];

/** Everything that is no object: discovery, OpenAPI and counters. */
function serveDocument(options: RouterOptions, path: string, request: IncomingMessage, response: ServerResponse): void {
  const { metrics, openApi, registry, store, hub } = options;
  if (path === "/metrics") sendText(response, 200, "text/plain; version=0.0.4", metrics.text(store, hub));
  else if (path === "/version") sendDocument(response, 200, versionDocument());
  else if (path === "/") sendDocument(response, 200, { paths: rootPaths });
  else if (path === "/openapi/v2") sendBytes(response, 200, swaggerProtobufType, emptySwagger());
  else if (path === "/openapi/v3") sendDocument(response, 200, openApi.index());
  else if (path.startsWith("/openapi/v3/")) serveOpenApi(openApi, path.slice("/openapi/v3/".length), response);
  else serveDiscovery(registry, path, negotiate(request.headers.accept), response);
}

function serveDiscovery(registry: Registry, path: string, representation: Representation, response: ServerResponse): void {
  const [, root, group, version, ...beyond] = path.split("/");
  let document: Mutable | undefined;
  if (beyond.length > 0 || (root !== "api" && root !== "apis")) document = undefined;
  else if (group === undefined) {
    const isCore = root === "api";
    const whole = isCore ? coreVersions() : groupList(registry);
    document = representation.form === "discovery" ? aggregatedDiscovery(registry, isCore) : whole;
  } else if (root === "api") document = version === undefined ? resourceList(registry, group) : undefined;
  else document = version === undefined ? groupOf(registry, group) : resourceList(registry, `${group}/${version}`);
  if (document === undefined) throw noSuchPath();
  const isWhole = group === undefined;
  sendJsonText(
    response,
    200,
    isWhole ? representation : { ...representation, contentType: `application/${representation.encoding}` },
    JSON.stringify(document),
  );
}

function serveOpenApi(openApi: OpenApi, path: string, response: ServerResponse): void {
  const document = openApi.document(path.replace(/^apis?\//, ""));
  if (document === undefined) throw noSuchPath();
  response.setHeader("ETag", `"${document.hash}"`);
  sendText(response, 200, "application/json", document.text);
}
