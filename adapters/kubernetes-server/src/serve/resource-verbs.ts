import type { IncomingMessage, ServerResponse } from "node:http";
import { textAt, valueAt } from "../resources/column.ts";
import { objectKey, type Resource } from "../resources/resource.ts";
import { scaleOf } from "../resources/scale.ts";
import { matchesFields, matchesLabels } from "../resources/selector.ts";
import { required } from "../schema/problem.ts";
import { isObject, type Mutable } from "../schema/schema.ts";
import { scaleSchema } from "../schema/workload-groups.ts";
import type { Store } from "../store/store.ts";
import { ApiError, badRequest, invalidObject, methodNotAllowed, notFound, tooLargeRevision } from "./api-error.ts";
import { mediaType, parseBody, parseObjectBody, readBody, unsupportedMediaType } from "./body.ts";
import type { Subresource, WriteGuard } from "./draft.ts";
import { listText, objectText, planList } from "./list.ts";
import { negotiate, type Representation } from "./negotiate.ts";
import { decodeObject } from "./object-text.ts";
import type { DeleteOptions, Objects, PatchKind, Target, WriteOptions, Written } from "./objects.ts";
import { decodeDeleteOptions, decodeProtobuf, isProtobufKind, protobufType } from "./protobuf.ts";
import { type ListQuery, parseListQuery, parseRevision, parseWriteQuery, type ResourcePath } from "./request.ts";
import { sendDocument, sendJsonText, sendPieces, setWarnings } from "./respond.ts";
import type { WatchHub } from "./watch/watch-hub.ts";

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  /** Who asks, for the limit of watches. */
  readonly client: string;
  /** Further conditions on what is written; absent for who may do everything. */
  readonly guard?: WriteGuard;
}

export interface VerbContext {
  readonly store: Store;
  readonly objects: Objects;
  readonly hub: WatchHub;
  readonly nowMs: () => number;
}

const patchKinds: Readonly<Record<string, PatchKind>> = {
  "application/json-patch+json": "json",
  "application/merge-patch+json": "merge",
  "application/strategic-merge-patch+json": "strategic",
  "application/apply-patch+yaml": "apply",
};

/** One request on one kind: all verbs, on collections, objects and their status. */
export async function serveResource(context: VerbContext, resource: Resource, path: ResourcePath, exchange: Exchange): Promise<void> {
  const { method } = exchange.request;
  if (resource.isReview) throw methodNotAllowed();
  if (path.name === undefined) {
    if (method === "GET") return await serveCollection(context, resource, path, exchange);
    if (method === "POST") return await serveCreate(context, resource, path, exchange);
    if (method === "DELETE") return await serveDeleteCollection(context, resource, path, exchange);
    throw methodNotAllowed();
  }
  if (resource.isNamespaced && path.namespace === undefined)
    throw badRequest(`${resource.plural} are namespaced: the path needs namespaces/NAME`);
  const target: Target = { resource, namespace: path.namespace ?? "", name: path.name };
  if (method === "GET") return await serveGet(context, target, subresourceOf(path), exchange);
  if (method === "PUT" || method === "PATCH") return await serveChange(context, target, subresourceOf(path), exchange);
  if (method === "DELETE" && path.subresource === undefined) return await serveDelete(context, target, exchange);
  throw methodNotAllowed();
}

function subresourceOf(path: ResourcePath): Subresource {
  return path.subresource === "status" || path.subresource === "scale" ? path.subresource : "";
}

async function serveGet(context: VerbContext, target: Target, subresource: Subresource, exchange: Exchange): Promise<void> {
  const representation = negotiate(exchange.request.headers.accept);
  const query = parseListQuery(exchange.query, target.resource.selectableFields);
  const key = objectKey(target.resource, target.namespace, target.name);
  const isAny = context.store.isShared && query.resourceVersion === "0";
  const isNewer = context.store.isShared || (context.store.get(key)?.revision ?? 0) > context.store.durable;
  if (isNewer && !isAny) await context.store.current();
  const stored = context.store.get(key);
  if (stored === undefined) throw notFound(target.resource, target.name);
  if (subresource === "scale") return sendScale(exchange, 200, target.resource, stored.text, representation);
  sendJsonText(exchange.response, 200, representation, objectText(target.resource, stored.text, representation, query, context.nowMs()));
}

function sendScale(exchange: Exchange, code: number, resource: Resource, text: string, representation: Representation): void {
  if (resource.scale === undefined) throw methodNotAllowed();
  sendJsonText(exchange.response, code, representation, JSON.stringify(scaleOf(resource.scale, decodeObject(text))));
}

async function serveCollection(context: VerbContext, resource: Resource, path: ResourcePath, exchange: Exchange): Promise<void> {
  const representation = negotiate(exchange.request.headers.accept);
  const query = parseListQuery(exchange.query, resource.selectableFields);
  if (representation.form === "discovery") throw badRequest("this form of answer exists only for /api and /apis");
  if (query.isWatch) return await serveWatch(context, resource, path, exchange, query, representation);
  await catchUp(context.store, query);
  const plan = planList(resource, path.namespace, query, context.store.durable);
  await sendPieces(exchange.response, representation, listText(context.store, resource, plan, query, representation.form, context.nowMs()));
}

/** On a shared store, waits for what others have written, as far as the client asks for it. */
async function catchUp(store: Store, query: ListQuery): Promise<void> {
  if (!store.isShared) return;
  const asked = query.continueToken !== "" ? Number.POSITIVE_INFINITY : parseRevision(query.resourceVersion);
  if (asked === undefined || asked > store.durable) await store.current();
}

async function serveWatch(
  context: VerbContext,
  resource: Resource,
  path: ResourcePath,
  exchange: Exchange,
  query: ListQuery,
  representation: Representation,
): Promise<void> {
  const { hub, store } = context;
  const asked = parseRevision(query.resourceVersion) ?? 0;
  await catchUp(store, query);
  if (asked > store.durable) throw tooLargeRevision(asked, store.durable);
  const { form, encoding } = representation;
  if (encoding !== "json" || form === "discovery") throw badRequest("a watch is answered only in JSON");
  const startsWithState = query.sendsInitialEvents ?? asked === 0;
  const after = asked === 0 ? store.durable : asked;
  const { response } = exchange;
  // Written on the first write; a refusal before that may still choose another status.
  response.statusCode = 200;
  response.setHeader("Content-Type", representation.contentType);
  response.setHeader("Cache-Control", "no-cache, private");
  const request = { resource, namespace: path.namespace, query, form, client: exchange.client, startsWithState, after };
  const serving = hub.serve(request, response);
  setImmediate(() => {
    if (!response.headersSent && !response.writableEnded && response.statusCode === 200) response.flushHeaders();
  });
  await serving;
}

function writeOptions(exchange: Exchange, subresource: Subresource): WriteOptions {
  const query = parseWriteQuery(exchange.query);
  const [agent = ""] = (exchange.request.headers["user-agent"] ?? "").split("/", 1);
  const manager = query.fieldManager === "" ? agent || "unknown" : query.fieldManager;
  const { isDryRun, fieldValidation, force } = query;
  return { manager, subresource, isDryRun, fieldValidation, force, ...(exchange.guard !== undefined && { guard: exchange.guard }) };
}

async function sendWritten(context: VerbContext, resource: Resource, exchange: Exchange, written: Written): Promise<void> {
  const representation = negotiate(exchange.request.headers.accept);
  setWarnings(exchange.response, written.warnings);
  const text = objectText(resource, written.text, representation, { includeObject: "Metadata" }, context.nowMs());
  sendJsonText(exchange.response, written.created ? 201 : 200, representation, text);
}

export function readObject(resource: Resource, body: Buffer, type: string): Mutable {
  if (type === protobufType && !resource.isCustom && isProtobufKind(resource.kind)) return decodeProtobuf(resource.schema, body);
  return parseObjectBody(body, type);
}

async function serveCreate(context: VerbContext, resource: Resource, path: ResourcePath, exchange: Exchange): Promise<void> {
  const { request } = exchange;
  const namespace = path.namespace ?? "";
  if (resource.isNamespaced && namespace === "") throw badRequest(`${resource.plural} are namespaced: the path needs namespaces/NAME`);
  const object = readObject(resource, await readBody(request), mediaType(request.headers["content-type"]));
  await sendWritten(context, resource, exchange, await context.objects.create(resource, namespace, object, writeOptions(exchange, "")));
}

async function serveChange(context: VerbContext, target: Target, subresource: Subresource, exchange: Exchange): Promise<void> {
  const { request } = exchange;
  const { resource } = target;
  const type = mediaType(request.headers["content-type"]);
  const options = writeOptions(exchange, subresource);
  if (subresource === "scale") return await serveScaleChange(context, target, type, options, exchange);
  if (request.method === "PUT") {
    const object = readObject(resource, await readBody(request), type);
    return await sendWritten(context, resource, exchange, await context.objects.update(target, object, options));
  }
  const kind = patchKindOf(resource, type);
  if (kind === "apply" && exchange.query.get("fieldManager") === null) {
    const problem = required("fieldManager", "is required for apply patch");
    throw invalidObject({ group: "meta.k8s.io", plural: "patchoptions", kind: "PatchOptions" }, "", [problem]);
  }
  const patch = parseBody(await readBody(request), type);
  await sendWritten(context, resource, exchange, await context.objects.patch(target, kind, patch, options));
}

function patchKindOf(resource: Resource, type: string): PatchKind {
  const kind = Object.hasOwn(patchKinds, type) ? patchKinds[type] : undefined;
  const supported = Object.keys(patchKinds).filter((one) => !resource.isCustom || patchKinds[one] !== "strategic");
  if (kind === undefined || !supported.includes(type)) throw unsupportedMediaType(type, supported);
  return kind;
}

async function serveScaleChange(
  context: VerbContext,
  target: Target,
  type: string,
  options: WriteOptions,
  exchange: Exchange,
): Promise<void> {
  const { request, response } = exchange;
  const kind = request.method === "PUT" ? "whole" : patchKindOf(target.resource, type);
  const bytes = await readBody(request);
  const body = kind === "whole" ? readScale(bytes, type) : parseBody(bytes, type);
  const written = await context.objects.scale(target, { kind, body }, options);
  setWarnings(response, written.warnings);
  sendScale(exchange, 200, target.resource, written.text, negotiate(request.headers.accept));
}

function readScale(bytes: Buffer, type: string): Mutable {
  return type === protobufType ? decodeProtobuf(scaleSchema, bytes) : parseObjectBody(bytes, type);
}

interface DeletionBody {
  readonly uid: string | undefined;
  readonly resourceVersion: string | undefined;
  readonly isDryRun: boolean;
  readonly propagation: DeleteOptions["propagation"];
}

async function readDeletion(exchange: Exchange): Promise<DeletionBody> {
  const { request, query } = exchange;
  const bytes = await readBody(request);
  const type = mediaType(request.headers["content-type"]);
  const body: Mutable = bytes.length === 0 ? {} : type === protobufType ? decodeDeleteOptions(bytes) : parseObjectBody(bytes, type);
  const dryRun = body.dryRun;
  const policy = textAt(body, "propagationPolicy") || (query.get("propagationPolicy") ?? "");
  if (!["", "Orphan", "Background", "Foreground"].includes(policy)) {
    throw badRequest(`invalid propagationPolicy ${JSON.stringify(policy)}: must be Orphan, Background or Foreground`);
  }
  return {
    uid: textAt(body, "preconditions", "uid") || undefined,
    resourceVersion: textAt(body, "preconditions", "resourceVersion") || undefined,
    isDryRun: parseWriteQuery(query).isDryRun || (Array.isArray(dryRun) && dryRun.includes("All")),
    propagation: policy === "" ? orphaning(valueAt(body, "orphanDependents")) : (policy as "Orphan" | "Background" | "Foreground"),
  };
}

/** The older way to say what becomes of dependents. */
function orphaning(value: unknown): DeleteOptions["propagation"] {
  return typeof value === "boolean" ? (value ? "Orphan" : "Background") : undefined;
}

async function serveDelete(context: VerbContext, target: Target, exchange: Exchange): Promise<void> {
  const deletion = await readDeletion(exchange);
  const { resource } = target;
  const written = await context.objects.delete(target, deletion);
  if (!written.deleted) return await sendWritten(context, resource, exchange, written);
  const details = { name: target.name, ...(resource.group !== "" && { group: resource.group }), kind: resource.plural };
  const uid = textAt(decodeObject(written.text), "metadata", "uid");
  sendDocument(exchange.response, 200, { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details: { ...details, uid } });
}

const deletionPageSize = 500;

async function serveDeleteCollection(context: VerbContext, resource: Resource, path: ResourcePath, exchange: Exchange): Promise<void> {
  const query = parseListQuery(exchange.query, resource.selectableFields);
  const deletion = await readDeletion(exchange);
  if (resource.isNamespaced && path.namespace === undefined) throw methodNotAllowed();
  await catchUp(context.store, query);
  const { prefix } = planList(resource, path.namespace, query, context.store.durable);
  let after: string | undefined;
  for (;;) {
    const page = context.store.list({ prefix, limit: deletionPageSize, ...(after !== undefined && { after }) });
    if (page.outcome !== "listed") break;
    const deletions: Promise<unknown>[] = [];
    for (const item of page.items) {
      after = item.key;
      const object = decodeObject(item.text);
      if (!isObject(object) || !matchesLabels(query.labels, object) || !matchesFields(query.fields, object)) continue;
      const target = { resource, namespace: path.namespace ?? "", name: textAt(object, "metadata", "name") };
      const { isDryRun, propagation } = deletion;
      deletions.push(context.objects.delete(target, { isDryRun, propagation, uid: undefined, resourceVersion: undefined }));
    }
    // What somebody else deleted meanwhile is gone as well.
    for (const result of await Promise.allSettled(deletions))
      if (result.status === "rejected" && !(result.reason instanceof ApiError && result.reason.code === 404)) throw result.reason;
    if (page.remaining === 0) break;
  }
  sendDocument(exchange.response, 200, {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    details: { kind: resource.plural },
  });
}
