import type { ServerResponse } from "node:http";
import { apiVersionOf } from "../../resources/resource.ts";
import type { Store } from "../../store/store.ts";
import { type ApiError, tooOld } from "../api-error.ts";
import type { Audience, Member, Told } from "./audience.ts";
import { Occurrence } from "./occurrence.ts";
import type { StatePages } from "./state-pages.ts";
import type { WatchLimits, WatchRequest } from "./watch-request.ts";

/** Changes that are read from the history at a time while a watcher catches up. */
const catchUpSize = 500;
/** A watch ends after this long when the client names no time, so that forgotten ones do not pile up. */
const defaultTimeoutSeconds = 3_600;

/** One client's watch: brings it up to date, then passes on what its audience is told. */
export class Watcher implements Member {
  readonly #request: WatchRequest;
  readonly #audience: Audience;
  readonly #response: ServerResponse;
  readonly #limits: WatchLimits;
  readonly #nowMs: () => number;
  readonly #ended = Promise.withResolvers<void>();
  #isEnded = false;
  #cursor: number;
  #isLive = false;
  eventsSent = 0;
  wasSlow = false;

  constructor(request: WatchRequest, audience: Audience, response: ServerResponse, limits: WatchLimits, nowMs: () => number) {
    this.#request = request;
    this.#audience = audience;
    this.#response = response;
    this.#limits = limits;
    this.#nowMs = nowMs;
    this.#cursor = request.after;
  }

  get cursor(): number {
    return this.#cursor;
  }

  get isLive(): boolean {
    return this.#isLive && !this.#isEnded;
  }

  /** Until the client goes, or its time is over. */
  async run(store: Store, pages: StatePages): Promise<void> {
    const { query } = this.#request;
    this.#response.on("close", () => this.end());
    const timeoutMs = Math.min(query.timeoutSeconds ?? defaultTimeoutSeconds, 86_400) * 1_000;
    const timer = setTimeout(() => this.end(), timeoutMs);
    try {
      if (this.#request.startsWithState) await this.#tellState(pages, store.durable);
      await this.#catchUp(store);
      await this.#ended.promise;
    } finally {
      clearTimeout(timer);
      this.end();
    }
  }

  tell(told: Told, until: number): void {
    this.#cursor = until;
    this.#send(told);
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
    this.#sendLine(`{"type":"BOOKMARK","object":${body}}\n`);
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#response.end();
    this.#ended.resolve();
  }

  async #tellState(pages: StatePages, revision: number): Promise<void> {
    let after: string | undefined;
    do {
      const page = pages.read(this.#audience, { revision, after });
      if (page.outcome === "compacted") return this.#fail(tooOld(revision, page.oldest));
      await this.#sendAtItsPace(page);
      after = page.next;
    } while (after !== undefined && !this.#isEnded);
    this.#cursor = revision;
    if (this.#request.query.sendsInitialEvents === true) this.bookmark(revision, true);
  }

  async #catchUp(store: Store): Promise<void> {
    while (!this.#isEnded) {
      const until = store.durable;
      const result = store.changes(this.#cursor, catchUpSize, this.#audience.prefix);
      if (result.outcome === "compacted") return this.#fail(tooOld(this.#cursor, result.oldest));
      const isComplete = result.changes.length < catchUpSize;
      const changes = result.changes.filter(({ revision }) => revision <= until);
      const nowMs = this.#nowMs();
      const told = this.#audience.write(changes.map((change) => new Occurrence(change, nowMs)));
      this.#cursor = Math.max(this.#cursor, isComplete ? until : (changes.at(-1)?.revision ?? until));
      this.#isLive = isComplete;
      if (isComplete) return this.#send(told);
      await this.#sendAtItsPace(told);
    }
  }

  #send({ pieces, events }: Told): void {
    if (this.#isEnded) return;
    this.eventsSent += events;
    for (const piece of pieces) this.#response.write(piece);
  }

  async #sendAtItsPace({ pieces, events }: Told): Promise<void> {
    this.eventsSent += events;
    for (const piece of pieces) {
      if (this.#isEnded) return;
      this.#response.write(piece);
      await this.#drained();
    }
  }

  #sendLine(line: string): void {
    this.#send({ pieces: [Buffer.from(line)], events: 1 });
  }

  /** The client reads too slowly: it is told so, and to list again. */
  #sendAway(): void {
    this.wasSlow = true;
    this.#fail(tooOld(this.#cursor, this.#cursor));
    const { socket } = this.#response;
    setTimeout(() => socket?.destroy(), 5_000).unref();
  }

  #fail(error: ApiError): void {
    this.#sendLine(`{"type":"ERROR","object":${JSON.stringify(error.toStatus())}}\n`);
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
