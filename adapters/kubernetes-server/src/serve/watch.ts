import type { ServerResponse } from "node:http";
import { apiVersionOf, keyPrefix, type Resource } from "../resources/resource.ts";
import { matchesFields, matchesLabels } from "../resources/selector.ts";
import type { Mutable } from "../schema/schema.ts";
import type { Change, Store } from "../store/store.ts";
import { type ApiError, tooManyRequests, tooOld } from "./api-error.ts";
import { decodeObject, textInVersion } from "./object-text.ts";
import type { ListQuery } from "./request.ts";
import { listEnvelope, partialMetadata, tableRow } from "./table.ts";

export interface WatchLimits {
  readonly watchersMax: number;
  readonly watchersPerClientMax: number;
  /** What may wait in front of one slow client before it is sent away to list again. */
  readonly bufferedBytesMax: number;
  readonly bookmarkIntervalMs: number;
}

export const defaultWatchLimits: WatchLimits = {
  watchersMax: 4_000,
  watchersPerClientMax: 1_000,
  bufferedBytesMax: 8 * 1024 * 1024,
  bookmarkIntervalMs: 30_000,
};

export interface WatchRequest {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly query: ListQuery;
  readonly form: "object" | "table" | "metadata";
  /** Who watches: for the limit per client. */
  readonly client: string;
  /** Tell what is there first, then what changes. */
  readonly startsWithState: boolean;
  /** Changes after this revision are told. */
  readonly after: number;
}

/** Changes that are read from the history at a time while a watcher catches up. */
const catchUpSize = 500;
/** A watch ends after this long when the client names no time, so that forgotten ones do not pile up. */
const defaultTimeoutSeconds = 3_600;

/** Tells every watcher what changed. A change is written down once for all watchers that see it in the same form. */
export class WatchHub implements Disposable {
  readonly #store: Store;
  readonly #limits: WatchLimits;
  readonly #nowMs: () => number;
  readonly #watchers = new Map<string, Set<Watcher>>();
  readonly #clients = new Map<string, number>();
  readonly #subscription: Disposable;
  readonly #bookmarks: NodeJS.Timeout;
  #count = 0;
  /** Counters for /metrics. */
  readonly counts = { eventsSent: 0, slowClosed: 0, refused: 0 };

  constructor(store: Store, limits: WatchLimits, nowMs: () => number) {
    this.#store = store;
    this.#limits = limits;
    this.#nowMs = nowMs;
    this.#subscription = store.subscribe((changes) => this.#tell(changes));
    this.#bookmarks = setInterval(() => this.#sendBookmarks(), limits.bookmarkIntervalMs).unref();
  }

  get watching(): number {
    return this.#count;
  }

  /** Answers until the client goes, its time is over, or the hub is disposed. Refusals are thrown before anything is written. */
  async serve(request: WatchRequest, response: ServerResponse): Promise<void> {
    if (request.after < this.#store.oldest && !request.startsWithState) throw tooOld(request.after, this.#store.oldest);
    const perClient = this.#clients.get(request.client) ?? 0;
    if (this.#count >= this.#limits.watchersMax || perClient >= this.#limits.watchersPerClientMax) {
      this.counts.refused += 1;
      throw tooManyRequests(`too many watches are open (${perClient} of this client, ${this.#count} of all); close some and try again`);
    }
    const watcher = new Watcher(request, response, this.#limits, this.#nowMs);
    const { group, plural } = request.resource;
    const prefix = keyPrefix({ group, plural });
    const peers = this.#watchers.get(prefix) ?? new Set();
    this.#watchers.set(prefix, peers.add(watcher));
    this.#clients.set(request.client, perClient + 1);
    this.#count += 1;
    try {
      await watcher.run(this.#store);
    } finally {
      peers.delete(watcher);
      if (peers.size === 0) this.#watchers.delete(prefix);
      this.#count -= 1;
      const left = (this.#clients.get(request.client) ?? 1) - 1;
      if (left === 0) this.#clients.delete(request.client);
      else this.#clients.set(request.client, left);
      this.counts.eventsSent += watcher.eventsSent;
      if (watcher.wasSlow) this.counts.slowClosed += 1;
    }
  }

  /** Ends the watches of a kind that is no longer served as it was. */
  endWatchesOf(group: string, plural: string): void {
    for (const watcher of this.#watchers.get(keyPrefix({ group, plural })) ?? []) watcher.end();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#bookmarks);
    this.#subscription[Symbol.dispose]();
    for (const peers of this.#watchers.values()) for (const watcher of peers) watcher.end();
  }

  #tell(changes: readonly Change[]): void {
    for (const change of changes) {
      const [, group = "", plural = ""] = change.key.split("/", 3);
      const peers = this.#watchers.get(`/${group}/${plural}/`);
      if (peers === undefined) continue;
      const occurrence = new Occurrence(change, this.#nowMs());
      for (const watcher of peers) watcher.tell(occurrence);
    }
  }

  #sendBookmarks(): void {
    for (const peers of this.#watchers.values()) for (const watcher of peers) watcher.bookmark(this.#store.durable, false);
  }
}

/** One change, parsed at most once and written down once for each form. */
class Occurrence {
  readonly change: Change;
  readonly nowMs: number;
  #object: Mutable | undefined;
  #previous: Mutable | undefined;
  readonly #lines = new Map<string, Buffer>();

  constructor(change: Change, nowMs: number) {
    this.change = change;
    this.nowMs = nowMs;
  }

  get object(): Mutable {
    this.#object ??= decodeObject(this.change.text);
    return this.#object;
  }

  get previous(): Mutable | undefined {
    if (this.change.previous === undefined) return undefined;
    this.#previous ??= decodeObject(this.change.previous);
    return this.#previous;
  }

  line(type: string, request: WatchRequest): Buffer {
    const { resource, form, query } = request;
    const key = `${type} ${resource.version} ${form} ${query.includeObject}`;
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = Buffer.from(`{"type":"${type}","object":${this.#body(request)}}\n`);
      this.#lines.set(key, line);
    }
    return line;
  }

  #body({ resource, form, query }: WatchRequest): string {
    if (form === "object") return textInVersion(resource, this.change.text);
    if (form === "metadata") return JSON.stringify(partialMetadata(this.object));
    const { head } = listEnvelope(resource, "table");
    const row = tableRow(resource, this.change.text, this.object, query.includeObject, this.nowMs);
    return `${head}"metadata":{"resourceVersion":"${this.change.revision}"},"rows":[${row}]}`;
  }
}

class Watcher {
  readonly #request: WatchRequest;
  readonly #response: ServerResponse;
  readonly #limits: WatchLimits;
  readonly #nowMs: () => number;
  readonly #prefix: string;
  readonly #hasSelectors: boolean;
  readonly #ended = Promise.withResolvers<void>();
  #isEnded = false;
  /** Everything up to here has been told. */
  #cursor: number;
  #isLive = false;
  eventsSent = 0;
  wasSlow = false;

  constructor(request: WatchRequest, response: ServerResponse, limits: WatchLimits, nowMs: () => number) {
    this.#request = request;
    this.#response = response;
    this.#limits = limits;
    this.#nowMs = nowMs;
    this.#prefix = keyPrefix(request.resource, request.namespace);
    this.#hasSelectors = request.query.labels.length + request.query.fields.length > 0;
    this.#cursor = request.after;
  }

  async run(store: Store): Promise<void> {
    const { query } = this.#request;
    this.#response.on("close", () => this.end());
    const timeoutMs = Math.min(query.timeoutSeconds ?? defaultTimeoutSeconds, 86_400) * 1_000;
    const timer = setTimeout(() => this.end(), timeoutMs);
    try {
      if (this.#request.startsWithState) await this.#tellState(store, store.durable);
      await this.#catchUp(store);
      await this.#ended.promise;
    } finally {
      clearTimeout(timer);
      this.end();
    }
  }

  tell(occurrence: Occurrence): void {
    const { change } = occurrence;
    if (!this.#isLive || change.revision <= this.#cursor || this.#isEnded) return;
    this.#cursor = change.revision;
    const type = this.#eventType(occurrence);
    if (type === undefined) return;
    this.#send(occurrence.line(type, this.#request));
    if (this.#response.writableLength > this.#limits.bufferedBytesMax) this.#sendAway();
  }

  bookmark(revision: number, endsInitialEvents: boolean): void {
    if (this.#isEnded || !this.#request.query.allowsBookmarks || (!this.#isLive && !endsInitialEvents)) return;
    const { resource, form } = this.#request;
    const annotations = endsInitialEvents ? { annotations: { "k8s.io/initial-events-end": "true" } } : {};
    const metadata = JSON.stringify({ resourceVersion: String(revision), creationTimestamp: null, ...annotations });
    let body = `{"kind":"${resource.kind}","apiVersion":"${apiVersionOf(resource)}","metadata":${metadata}}`;
    if (form === "table") body = `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":${metadata},"columnDefinitions":[],"rows":[]}`;
    else if (form === "metadata") body = `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":${metadata}}`;
    this.#send(Buffer.from(`{"type":"BOOKMARK","object":${body}}\n`));
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#response.end();
    this.#ended.resolve();
  }

  async #tellState(store: Store, revision: number): Promise<void> {
    let after: string | undefined;
    for (;;) {
      const page = store.list({ prefix: this.#prefix, revision, limit: catchUpSize, ...(after !== undefined && { after }) });
      if (page.outcome === "compacted") return this.#fail(tooOld(revision, page.oldest));
      for (const { key, revision: written, text } of page.items) {
        after = key;
        const change: Change = { key, revision: written, text, previous: undefined, deleted: false };
        const occurrence = new Occurrence(change, this.#nowMs());
        if (this.#eventType(occurrence) !== undefined) this.#send(occurrence.line("ADDED", this.#request));
      }
      if (page.remaining === 0 || this.#isEnded) break;
      await this.#drained();
    }
    this.#cursor = revision;
    if (this.#request.query.sendsInitialEvents === true) this.bookmark(revision, true);
  }

  async #catchUp(store: Store): Promise<void> {
    while (!this.#isEnded) {
      const until = store.durable;
      const result = store.changes(this.#cursor, catchUpSize, this.#prefix);
      if (result.outcome === "compacted") return this.#fail(tooOld(this.#cursor, result.oldest));
      const changes = result.changes.filter(({ revision }) => revision <= until);
      this.#isLive = true;
      for (const change of changes) this.tell(new Occurrence(change, this.#nowMs()));
      if (result.changes.length < catchUpSize) {
        this.#cursor = Math.max(this.#cursor, until);
        return;
      }
      this.#isLive = false;
      await this.#drained();
    }
  }

  /** How this watcher sees the change: an object that its selectors no longer match is gone for it. */
  #eventType(occurrence: Occurrence): string | undefined {
    const { change } = occurrence;
    if (!change.key.startsWith(this.#prefix)) return undefined;
    const isThere = !change.deleted && this.#matches(occurrence.change, () => occurrence.object);
    const wasThere = change.previous !== undefined && this.#matches(occurrence.change, () => occurrence.previous ?? {});
    if (isThere) return wasThere ? "MODIFIED" : "ADDED";
    return wasThere ? "DELETED" : undefined;
  }

  #matches(change: Change, object: () => Mutable): boolean {
    if (!this.#hasSelectors) return true;
    const { labels, fields } = this.#request.query;
    // The commonest watch, on one object by its name, needs no parsing.
    const [only] = fields;
    if (labels.length === 0 && fields.length === 1 && only?.key === "metadata.name" && only.operator === "=") {
      return change.key.endsWith(`/${only.values[0]}`);
    }
    return matchesLabels(labels, object()) && matchesFields(fields, object());
  }

  #send(line: Buffer): void {
    if (this.#isEnded) return;
    this.eventsSent += 1;
    this.#response.write(line);
  }

  /** The client reads too slowly: it is told so, and to list again. */
  #sendAway(): void {
    this.wasSlow = true;
    this.#fail(tooOld(this.#cursor, this.#cursor));
    const { socket } = this.#response;
    setTimeout(() => socket?.destroy(), 5_000).unref();
  }

  #fail(error: ApiError): void {
    this.#send(Buffer.from(`{"type":"ERROR","object":${JSON.stringify(error.toStatus())}}\n`));
    this.end();
  }

  /** Until the client has taken most of what was written, or is gone. */
  async #drained(): Promise<void> {
    if (!this.#response.writableNeedDrain) return new Promise((resolve) => setImmediate(resolve));
    const drained = Promise.withResolvers<void>();
    this.#response.once("drain", drained.resolve);
    await Promise.race([drained.promise, this.#ended.promise]);
    this.#response.off("drain", drained.resolve);
  }
}
