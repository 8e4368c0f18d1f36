import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { TaskGroup } from "@cilium-ts/std";
import { defaultClusterRoleBindings, defaultClusterRoles } from "../authorize/default-roles.ts";
import { Rbac } from "../authorize/rbac.ts";
import { builtinResources } from "../resources/builtin.ts";
import { textAt } from "../resources/column.ts";
import { definedResources } from "../resources/definition.ts";
import { Registry } from "../resources/registry.ts";
import { keyPrefix, objectKey, type Resource } from "../resources/resource.ts";
import type { ServiceRange } from "../resources/service-range.ts";
import type { Mutable } from "../schema/schema.ts";
import type { Tokens } from "../security/authenticate.ts";
import type { Certificates } from "../security/certificates.ts";
import type { Change, Store } from "../store/store.ts";
import { ApiError } from "./api-error.ts";
import { Cleaner } from "./cleaner.ts";
import type { Validators } from "./draft.ts";
import { expireEvents } from "./event-expiry.ts";
import { Metrics } from "./metrics.ts";
import { decodeObject } from "./object-text.ts";
import { Objects, type WriteOptions } from "./objects.ts";
import { OpenApi } from "./open-api.ts";
import { route } from "./router.ts";
import { addressesOf, ownEndpoints, ownService, ServiceAddresses } from "./service-addresses.ts";
import { WatchHub } from "./watch/watch-hub.ts";
import { defaultWatchLimits, type WatchLimits } from "./watch/watch-request.ts";

export interface ServerOptions {
  /** Opened by the caller, who also closes it, after the server. */
  readonly store: Store;
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Undefined: plain HTTP without authentication, for tests on the loopback. */
  readonly tls: { readonly certificates: Certificates; readonly tokens: Tokens } | undefined;
  /** CustomResourceDefinitions that are there from the start; a stored one of the same schema version is left as it is. */
  readonly definitions: readonly Mutable[];
  /** Further checks of whole objects, by kind. */
  readonly validators?: Validators;
  readonly watchLimits?: WatchLimits;
  /** The addresses of services, at most one range of each family. Absent: services get none, and the API is no service itself. */
  readonly serviceRanges?: readonly ServiceRange[];
  /** Addresses under which pods reach this server, for the service `default/kubernetes`. */
  readonly advertisedAddresses?: readonly string[];
  readonly nowMs?: () => number;
  /** Failures that are the server's own; the client only hears that there was one. */
  readonly onError: (error: unknown) => void;
}

export interface ApiServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** New connections get the new certificates. */
  useCertificates(certificates: Certificates): void;
}

const definitionResource = builtinResources.find(({ kind }) => kind === "CustomResourceDefinition");
const namespaceResource = builtinResources.find(({ kind }) => kind === "Namespace");
const roleResource = builtinResources.find(({ kind }) => kind === "ClusterRole");
const bindingResource = builtinResources.find(({ kind }) => kind === "ClusterRoleBinding");
const serviceResource = builtinResources.find(({ kind }) => kind === "Service");
const sliceResource = builtinResources.find(({ kind }) => kind === "EndpointSlice");
const initialNamespaces = ["default", "kube-system", "kube-public", "kube-node-lease"];
const schemaVersionLabel = "io.cilium.k8s.crd.schema.version";
const connectionsMax = 10_000;

/** Starts the server: kinds are served, initial objects are there and durable, and the port is open when it returns. */
export async function startApiServer(options: ServerOptions): Promise<ApiServer> {
  const { store, onError } = options;
  const nowMs = options.nowMs ?? Date.now;
  const registry = new Registry(builtinResources);
  await using opened = new AsyncDisposableStack();
  await store.current();
  const ranges = options.serviceRanges ?? [];
  const addresses =
    ranges.length === 0 ? undefined : opened.use(new ServiceAddresses({ store, ranges, nowMs, random: randomBelow, onError }));
  const objects = new Objects(store, options.validators ?? {}, nowMs, addresses);
  await storeInitialObjects(store, objects, options.definitions);
  serveDefinitions(store, registry);
  const tasks = opened.use(new TaskGroup(new AbortController().signal));
  const cleaner = new Cleaner(store, registry, objects, onError);
  tasks.run("cleaner", (signal) => cleaner.run(signal));
  tasks.run("event expiry", (signal) => expireEvents(store, objects, nowMs, signal));
  const metrics = new Metrics();
  const openApi = new OpenApi(registry);
  const hub = new WatchHub(store, options.watchLimits ?? defaultWatchLimits, nowMs);
  opened.use(store.subscribe((changes) => followDefinitions(changes, registry, hub)));
  const rbac = opened.use(new Rbac(store));
  const context = { store, rbac, objects, hub, nowMs, registry, openApi, metrics, tokens: options.tls?.tokens, onError };
  const server = createServer(options, (request, response) => void route(context, request, response));
  const connections = trackConnections(server);
  opened.defer(() => close(server, connections));
  // Watches end before the connections are closed, so that their clients see an end and no break.
  opened.use(hub);
  const address = await listen(server, options.host, options.port);
  if (addresses?.ownAddress !== undefined)
    await storeOwnService(store, objects, {
      address: addresses.ownAddress,
      port: address.port,
      advertised: options.advertisedAddresses ?? [],
    });
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  const running = opened.move();
  return {
    host: address.address,
    port: address.port,
    url: `${options.tls === undefined ? "http" : "https"}://${host}:${address.port}`,
    useCertificates(certificates) {
      if ("setSecureContext" in server) server.setSecureContext(secureContext(certificates));
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function secureContext(certificates: Certificates) {
  return { cert: certificates.server.certificate, key: certificates.server.key, ca: certificates.authority };
}

function createServer(options: ServerOptions, handler: Parameters<typeof createHttpServer>[1] & object): HttpServer | HttpsServer {
  // TCP keep-alive finds out about watchers whose machine is gone.
  const timeouts = {
    keepAliveTimeout: 90_000,
    headersTimeout: 30_000,
    requestTimeout: 60_000,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
  };
  const server =
    options.tls === undefined
      ? createHttpServer(timeouts, handler)
      : createHttpsServer(
          { ...timeouts, ...secureContext(options.tls.certificates), requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.2" },
          handler,
        );
  server.maxConnections = connectionsMax;
  return server;
}

function trackConnections(server: HttpServer | HttpsServer): ReadonlySet<Socket> {
  const connections = new Set<Socket>();
  const note = (socket: Socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  };
  server.on("connection", note);
  server.on("secureConnection", note);
  return connections;
}

async function listen(server: HttpServer | HttpsServer, host: string, port: number): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(new Error(`cannot listen on ${host}:${port}`, { cause })));
    server.listen(port, host, resolve);
  });
  return server.address() as AddressInfo;
}

/** Requests that are being answered get a moment; then whoever is left is cut off. */
const closeGraceMs = 500;

async function close(server: HttpServer | HttpsServer, connections: ReadonlySet<Socket>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const cutOff = setTimeout(() => {
    for (const socket of connections) socket.destroy();
  }, closeGraceMs);
  await closed;
  clearTimeout(cutOff);
}

const ownWrites: WriteOptions = { manager: "cilium-apiserver", isDryRun: false, fieldValidation: "Strict", subresource: "", force: false };

async function storeInitialObjects(store: Store, objects: Objects, definitions: readonly Mutable[]): Promise<void> {
  const writes: Promise<unknown>[] = [];
  const initial = [
    ...initialNamespaces.map((name) => [namespaceResource as Resource, { metadata: { name } }] as const),
    ...defaultClusterRoles().map((role) => [roleResource as Resource, role] as const),
    ...defaultClusterRoleBindings().map((binding) => [bindingResource as Resource, binding] as const),
  ];
  for (const [resource, object] of initial)
    if (store.get(objectKey(resource, "", textAt(object, "metadata", "name"))) === undefined)
      writes.push(objects.create(resource, "", structuredClone(object), ownWrites));
  for (const definition of definitions) {
    const resource = definitionResource as Resource;
    const target = { resource, namespace: "", name: textAt(definition, "metadata", "name") };
    const stored = store.get(objectKey(resource, "", target.name));
    const version = (object: Mutable) => textAt(object, "metadata", "labels", schemaVersionLabel);
    if (stored === undefined) writes.push(objects.create(resource, "", structuredClone(definition), ownWrites));
    else if (version(decodeObject(stored.text)) !== version(definition)) {
      writes.push(objects.patch(target, "merge", structuredClone(definition), ownWrites));
    }
  }
  // Servers that start together on one store write the same; the first of them is enough.
  for (const result of await Promise.allSettled(writes))
    if (result.status === "rejected" && !(result.reason instanceof ApiError && result.reason.code === 409)) throw result.reason;
}

interface OwnService {
  readonly address: string;
  readonly port: number;
  readonly advertised: readonly string[];
}

/** The API is a service too, by which pods find it; several servers on one store are its endpoints together. */
async function storeOwnService(store: Store, objects: Objects, own: OwnService): Promise<void> {
  const target = { resource: serviceResource as Resource, namespace: "default", name: "kubernetes" };
  try {
    if (store.get(objectKey(target.resource, "default", "kubernetes")) === undefined)
      await objects.create(target.resource, "default", ownService(own.address, own.port), ownWrites);
    for (const family of ["IPv4", "IPv6"] as const) {
      const mine = own.advertised.filter((address) => address.includes(":") === (family === "IPv6"));
      if (mine.length > 0) await storeOwnEndpoints(store, objects, family, mine, own.port);
    }
  } catch (error) {
    // Another server that starts now has written the same.
    if (!(error instanceof ApiError && error.code === 409)) throw error;
  }
}

async function storeOwnEndpoints(
  store: Store,
  objects: Objects,
  family: "IPv4" | "IPv6",
  mine: readonly string[],
  port: number,
): Promise<void> {
  const resource = sliceResource as Resource;
  const fresh = ownEndpoints(family, mine, port);
  const name = textAt(fresh, "metadata", "name");
  const stored = store.get(objectKey(resource, "default", name));
  if (stored === undefined) await objects.create(resource, "default", fresh, ownWrites);
  else {
    const others = store.isShared ? addressesOf(decodeObject(stored.text)) : [];
    const all = ownEndpoints(family, [...new Set([...others, ...mine])], port);
    await objects.update({ resource, namespace: "default", name }, all, ownWrites);
  }
}

function randomBelow(below: number): number {
  return Math.floor((crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) * (below / 2 ** 32));
}

function serveDefinitions(store: Store, registry: Registry): void {
  const stored = store.list({ prefix: keyPrefix(definitionResource as Resource) });
  if (stored.outcome !== "listed") return;
  for (const { text } of stored.items) serveDefinition(decodeObject(text), registry, false);
}

function serveDefinition(definition: Mutable, registry: Registry, deleted: boolean): void {
  const group = textAt(definition, "spec", "group");
  registry.replace(group, textAt(definition, "spec", "names", "plural"), deleted ? [] : definedResources(definition));
}

function followDefinitions(changes: readonly Change[], registry: Registry, hub: WatchHub): void {
  const prefix = keyPrefix(definitionResource as Resource);
  for (const { key, text, deleted } of changes) {
    if (!key.startsWith(prefix)) continue;
    const definition = decodeObject(text);
    serveDefinition(definition, registry, deleted);
    hub.endWatchesOf(textAt(definition, "spec", "group"), textAt(definition, "spec", "names", "plural"));
  }
}
