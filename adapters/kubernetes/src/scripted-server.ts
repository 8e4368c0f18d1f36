import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { KubernetesObject } from "./kubernetes-object.ts";

/** What a test does to one request instead of answering it; true when it has taken the request over. */
export type Fault = (response: ServerResponse, request: { readonly kind: RequestKind }) => boolean;
export type RequestKind = "list" | "page" | "watch";

interface Change {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: KubernetesObject;
  readonly version: number;
}

/**
 * The pods of an API server, as far as lists and watches go, that does wrong whatever a test tells it to. It serves one collection
 * whatever the path.
 */
export class ScriptedServer implements AsyncDisposable {
  readonly objects = new Map<string, KubernetesObject>();
  /** `list`, `page` and `watch <version>` requests, in their order. */
  readonly requests: string[] = [];
  /** Later pages show what is now, and say so, instead of what was when the list began. */
  pagesMoveOn = false;
  /** Asked for each request. */
  fault: Fault = () => false;
  readonly #changes: Change[] = [];
  readonly #watches = new Set<ServerResponse>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #version = 100;
  #compacted = 100;
  #uid = 0;

  private constructor() {
    this.#server = createServer((request, response) => this.#serve(request, response));
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  static async start(): Promise<ScriptedServer> {
    const server = new ScriptedServer();
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get version(): number {
    return this.#version;
  }

  get watches(): number {
    return this.#watches.size;
  }

  put(name: string, fields: Record<string, unknown> = {}): KubernetesObject {
    this.#version += 1;
    const before = this.objects.get(name);
    if (before === undefined) this.#uid += 1;
    const metadata = {
      name,
      namespace: "default",
      uid: before?.metadata.uid ?? `uid-${this.#uid}`,
      resourceVersion: String(this.#version),
    };
    const object = { metadata, ...fields };
    this.objects.set(name, object);
    this.#announce({ type: before === undefined ? "ADDED" : "MODIFIED", object, version: this.#version });
    return object;
  }

  remove(name: string): void {
    const before = this.objects.get(name);
    if (before === undefined) return;
    this.#version += 1;
    this.objects.delete(name);
    const object = { ...before, metadata: { ...before.metadata, resourceVersion: String(this.#version) } };
    this.#announce({ type: "DELETED", object, version: this.#version });
  }

  /** Forgets all changes so far: a watch from an older version is refused. */
  compact(): void {
    this.#compacted = this.#version;
    this.#changes.length = 0;
  }

  /** Puts the state of now back, later: as if a backup of the store had been restored. Its versions begin again where they were. */
  backup(): () => void {
    const objects = new Map(this.objects);
    const version = this.#version;
    return () => {
      this.dropConnections();
      this.objects.clear();
      for (const [name, object] of objects) this.objects.set(name, object);
      this.#version = version;
      this.compact();
    };
  }

  /** Something else has happened, of which watches of this collection learn only the version. */
  bookmark(): void {
    this.#version += 1;
    this.sendToWatches(`${JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion: String(this.#version) } } })}\n`);
  }

  sendToWatches(text: string | Buffer): void {
    for (const watch of this.#watches) watch.write(text);
  }

  endWatches(): void {
    for (const watch of this.#watches) watch.end();
    this.#watches.clear();
  }

  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#watches.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dropConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #announce(change: Change): void {
    this.#changes.push(change);
    this.sendToWatches(line(change));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const query = new URL(request.url ?? "", "http://any").searchParams;
    const kind = query.has("watch") ? "watch" : query.has("continue") ? "page" : "list";
    this.requests.push(kind === "watch" ? `watch ${query.get("resourceVersion")}` : kind);
    if (this.fault(response, { kind })) return;
    if (kind === "watch") this.#watch(Number(query.get("resourceVersion")), response);
    else this.#list(query, response);
  }

  #list(query: URLSearchParams, response: ServerResponse): void {
    const limit = Number(query.get("limit") ?? 1e9);
    const [version = this.#version, after = ""] = query.get("continue")?.split(" ") ?? [];
    const names = [...this.objects.keys()].sort().filter((name) => name > after);
    const page = names.slice(0, limit);
    const last = page.at(-1);
    const more = names.length > page.length && last !== undefined;
    const metadata = {
      resourceVersion: String(this.pagesMoveOn ? this.#version : version),
      ...(more && { continue: `${version} ${last}` }),
    };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ kind: "PodList", apiVersion: "v1", metadata, items: page.map((name) => this.objects.get(name)) }));
  }

  #watch(from: number, response: ServerResponse): void {
    if (from < this.#compacted) {
      sendStatus(response, 410, "Expired", "too old resource version");
      return;
    }
    if (from > this.#version) {
      sendStatus(response, 504, "Timeout", "Too large resource version");
      return;
    }
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    for (const change of this.#changes) if (change.version > from) response.write(line(change));
    this.#watches.add(response);
    response.on("close", () => this.#watches.delete(response));
  }
}

function line({ type, object }: Change): string {
  return `${JSON.stringify({ type, object })}\n`;
}

export function sendStatus(
  response: ServerResponse,
  code: number,
  reason: string,
  message: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(code, { "content-type": "application/json", ...headers });
  response.end(statusText(code, reason, message));
}

export function statusText(code: number, reason: string, message: string): string {
  return JSON.stringify({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, code });
}
