import { isRecord } from "@cilium-ts/std";
import type { ClusterAccess } from "./access.ts";
import type { ActingUser } from "./acting-user.ts";
import { HttpConnection } from "./http-connection.ts";
import { loadKubeconfig } from "./kubeconfig.ts";
import { KubernetesError } from "./kubernetes-error.ts";
import { asKubernetesObject, type KubernetesList, type KubernetesObject } from "./kubernetes-object.ts";
import { apiVersionOf, collectionPath, type ObjectName, objectPath, type Resource } from "./resource.ts";
import { malformed, parseWatchEvent, type WatchEvent } from "./watch-event.ts";
import { LineSplitter, LineTooLong, watchLineSizeBytesMax } from "./watch-lines.ts";

export interface KubernetesOptions extends Partial<ClusterAccess> {
  /** Where to read how to reach the server. Fields given beside it win over the file's. */
  readonly kubeconfigPath?: string;
  /** A context of that file other than the current one. */
  readonly context?: string;
  /** Who changed what: recorded by the server with each write. */
  readonly fieldManager?: string;
  readonly userAgent?: string;
  /** For a whole request and its answer; watches have their own. 30 s when absent. */
  readonly requestTimeoutMs?: number;
  /** Requests on the way at once, watches not counted; the rest wait their turn. 8 when absent. */
  readonly connectionsMax?: number;
}

export interface CallOptions {
  readonly signal: AbortSignal;
  /** Of reading and changing one object. Absent: as who opened the client. */
  readonly as?: ActingUser | undefined;
}

/** In the API's own syntax: `app=web,tier!=db`, `spec.nodeName=worker-1`. */
export interface Selector {
  readonly labels?: string;
  readonly fields?: string;
}

export interface ListOptions extends CallOptions {
  /** All namespaces when absent. */
  readonly namespace?: string;
  readonly selector?: Selector;
  /** Objects of one page; all at once when absent. */
  readonly limit?: number;
  readonly continueToken?: string;
}

export interface WatchOptions extends CallOptions {
  readonly namespace?: string;
  readonly selector?: Selector;
  readonly resourceVersion: string;
  /** After this the server ends the watch. */
  readonly timeoutSeconds: number;
  /** The server has accepted the watch. */
  readonly onOpen?: () => void;
}

export interface WriteOptions extends CallOptions {
  readonly subresource?: "status";
  /** Everything is checked, and nothing is stored. */
  readonly isDryRun?: boolean;
  /** Of a patch: fields that the server does not know are refused, and not left out. */
  readonly isStrict?: boolean;
}

export type Patch =
  | { readonly type: "merge"; readonly body: Readonly<Record<string, unknown>> }
  | { readonly type: "json"; readonly body: readonly Readonly<Record<string, unknown>>[] }
  /** Server-side apply: the object holds just the fields that we own. `force` takes them over from other managers. */
  | { readonly type: "apply"; readonly body: KubernetesObject; readonly force?: boolean };

export interface DeleteOptions extends CallOptions {
  /** Only this very object, not one that has taken its name since. */
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly propagation?: "Foreground" | "Background" | "Orphan";
}

/** Something that somebody may be allowed to do. */
export interface AccessRight {
  readonly verb: string;
  readonly resource: Resource;
  /** Empty for kinds without namespaces. */
  readonly namespace: string;
  readonly name: string;
}

/** Every method rejects with KubernetesError, or with the signal's reason when aborted. */
export interface KubernetesClient extends AsyncDisposable {
  readonly server: string;
  /** Undefined when there is no such object. */
  get(resource: Resource, name: ObjectName, options: CallOptions): Promise<KubernetesObject | undefined>;
  list(resource: Resource, options: ListOptions): Promise<KubernetesList>;
  /** Ends when the server ends it; rejects when the connection breaks, or what arrives is no watch. */
  watch(resource: Resource, options: WatchOptions): AsyncGenerator<WatchEvent, void>;
  create(resource: Resource, object: KubernetesObject, options: CallOptions): Promise<KubernetesObject>;
  /** Refused as a `Conflict` when the object's resourceVersion is no longer the newest. */
  replace(resource: Resource, object: KubernetesObject, options: WriteOptions): Promise<KubernetesObject>;
  patch(resource: Resource, name: ObjectName, patch: Patch, options: WriteOptions): Promise<KubernetesObject>;
  /** False when there was no such object. */
  delete(resource: Resource, name: ObjectName, options: DeleteOptions): Promise<boolean>;
}

/** A client that also asks what its user may do. */
export interface AskingClient extends KubernetesClient {
  may(right: AccessRight, options: CallOptions): Promise<boolean>;
}

/** Does not connect: a server that is down is reported by the first request, and comes back without help. */
export async function openKubernetes(options: KubernetesOptions): Promise<AskingClient> {
  const fromFile = options.kubeconfigPath === undefined ? {} : await loadKubeconfig(options.kubeconfigPath, options);
  const { server, ...rest } = { ...fromFile, ...options };
  if (server === undefined) throw new Error("no Kubernetes API server is given: name a kubeconfig or the server's URL");
  return new Client({ ...rest, server });
}

const patchTypes = {
  merge: "application/merge-patch+json",
  json: "application/json-patch+json",
  apply: "application/apply-patch+yaml",
} as const;

class Client implements AskingClient {
  readonly server: string;
  readonly #http: HttpConnection;
  readonly #fieldManager: string;

  constructor(options: KubernetesOptions & { server: string }) {
    this.server = options.server;
    this.#fieldManager = options.fieldManager ?? "cilium-ts";
    this.#http = new HttpConnection(options, {
      userAgent: options.userAgent ?? "cilium-ts",
      requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
      connectionsMax: options.connectionsMax ?? 8,
    });
  }

  async get(resource: Resource, name: ObjectName, options: CallOptions): Promise<KubernetesObject | undefined> {
    const path = objectPath(resource, name);
    try {
      return expectObject(await this.#http.request({ method: "GET", path, repeatable: true, ...caller(options) }), `GET ${path}`);
    } catch (error) {
      if (isAbsent(error, name)) return undefined;
      throw error;
    }
  }

  async list(resource: Resource, options: ListOptions): Promise<KubernetesList> {
    const path = collectionPath(resource, options.namespace);
    const query = selectorQuery(options.selector);
    if (options.limit !== undefined) query.set("limit", String(options.limit));
    if (options.continueToken !== undefined) query.set("continue", options.continueToken);
    const answer = await this.#http.request({ method: "GET", path, query, repeatable: true, signal: options.signal });
    return expectList(answer, `GET ${path}`);
  }

  async *watch(resource: Resource, options: WatchOptions): AsyncGenerator<WatchEvent, void> {
    const path = collectionPath(resource, options.namespace);
    const request = `WATCH ${path}`;
    const query = selectorQuery(options.selector);
    query.set("watch", "true");
    query.set("allowWatchBookmarks", "true");
    query.set("resourceVersion", options.resourceVersion);
    query.set("timeoutSeconds", String(options.timeoutSeconds));
    const splitter = new LineSplitter(watchLineSizeBytesMax);
    for await (const chunk of this.#http.stream({ request, path, query, signal: options.signal, onOpen: options.onOpen })) {
      try {
        for (const line of splitter.lines(chunk)) if (line !== "" && line !== "\r") yield parseWatchEvent(line, request);
      } catch (error) {
        if (error instanceof LineTooLong) throw malformed(request, error.message, error);
        throw error;
      }
    }
    if (splitter.restSizeBytes > 0) throw malformed(request, "half a line, and then no more");
  }

  async create(resource: Resource, object: KubernetesObject, options: CallOptions): Promise<KubernetesObject> {
    const path = collectionPath(resource, object.metadata.namespace);
    const body = withType(resource, object);
    return expectObject(
      await this.#http.request({ method: "POST", path, query: this.#writer(), body, repeatable: false, signal: options.signal }),
      `POST ${path}`,
    );
  }

  async replace(resource: Resource, object: KubernetesObject, options: WriteOptions): Promise<KubernetesObject> {
    const { namespace = "", name = "" } = object.metadata;
    const path = subresourcePath(objectPath(resource, { namespace, name }), options.subresource);
    const body = withType(resource, object);
    return expectObject(
      await this.#http.request({ method: "PUT", path, query: this.#writer(), body, repeatable: false, signal: options.signal }),
      `PUT ${path}`,
    );
  }

  async patch(resource: Resource, name: ObjectName, patch: Patch, options: WriteOptions): Promise<KubernetesObject> {
    const path = subresourcePath(objectPath(resource, name), options.subresource);
    const query = this.#writer();
    if (options.isDryRun === true) query.set("dryRun", "All");
    if (options.isStrict === true) query.set("fieldValidation", "Strict");
    if (patch.type === "apply" && patch.force === true) query.set("force", "true");
    const body = patch.type === "apply" ? withType(resource, patch.body) : patch.body;
    const contentType = patchTypes[patch.type];
    const repeatable = patch.type !== "json";
    const request = { method: "PATCH", path, query, body, contentType, repeatable, ...caller(options) } as const;
    return expectObject(await this.#http.request(request), `PATCH ${path}`);
  }

  async delete(resource: Resource, name: ObjectName, options: DeleteOptions): Promise<boolean> {
    const { uid, resourceVersion, propagation } = options;
    const preconditions = { ...(uid !== undefined && { uid }), ...(resourceVersion !== undefined && { resourceVersion }) };
    const body = {
      apiVersion: "v1",
      kind: "DeleteOptions",
      ...(Object.keys(preconditions).length > 0 && { preconditions }),
      ...(propagation !== undefined && { propagationPolicy: propagation }),
    };
    try {
      await this.#http.request({ method: "DELETE", path: objectPath(resource, name), body, repeatable: false, ...caller(options) });
      return true;
    } catch (error) {
      if (isAbsent(error, name)) return false;
      throw error;
    }
  }

  async may({ verb, resource, namespace, name }: AccessRight, options: CallOptions): Promise<boolean> {
    const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    const { group, version, plural } = resource;
    const resourceAttributes = { verb, group, version, resource: plural, namespace, name };
    const body = { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview", spec: { resourceAttributes } };
    const answer = await this.#http.request({ method: "POST", path, body, repeatable: true, ...caller(options) });
    const status = isRecord(answer) && isRecord(answer.status) ? answer.status : undefined;
    if (typeof status?.allowed !== "boolean") throw malformed(`POST ${path}`, "no answer to the question");
    return status.allowed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http[Symbol.asyncDispose]();
  }

  #writer(): URLSearchParams {
    return new URLSearchParams({ fieldManager: this.#fieldManager });
  }
}

function caller({ signal, as }: CallOptions): CallOptions {
  return { signal, as };
}

/** A server that does not know the resource also answers 404, and that is no answer about an object. */
function isAbsent(error: unknown, { name }: ObjectName): boolean {
  return error instanceof KubernetesError && error.status === 404 && error.details.name === name;
}

function selectorQuery(selector: Selector | undefined): URLSearchParams {
  const query = new URLSearchParams();
  if (selector?.labels !== undefined) query.set("labelSelector", selector.labels);
  if (selector?.fields !== undefined) query.set("fieldSelector", selector.fields);
  return query;
}

function subresourcePath(path: string, subresource: string | undefined): string {
  return subresource === undefined ? path : `${path}/${subresource}`;
}

function withType(resource: Resource, object: KubernetesObject): KubernetesObject {
  return { ...object, apiVersion: apiVersionOf(resource), kind: resource.kind };
}

function expectObject(answer: unknown, request: string): KubernetesObject {
  const object = asKubernetesObject(answer);
  if (object === undefined) throw malformed(request, "no object");
  return object;
}

function expectList(answer: unknown, request: string): KubernetesList {
  const metadata = isRecord(answer) && isRecord(answer.metadata) ? answer.metadata : undefined;
  const items = isRecord(answer) ? (answer.items ?? []) : undefined;
  if (metadata === undefined || !Array.isArray(items) || typeof metadata.resourceVersion !== "string") throw malformed(request, "no list");
  for (const item of items) if (asKubernetesObject(item) === undefined) throw malformed(request, "a list with an item that has no name");
  const token = metadata.continue;
  return {
    resourceVersion: metadata.resourceVersion,
    items,
    ...(typeof token === "string" && token !== "" && { continueToken: token }),
  };
}
