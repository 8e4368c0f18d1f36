import type { ServerResponse } from "node:http";
import { keyPrefix } from "../../resources/resource.ts";
import type { Change, Store } from "../../store/store.ts";
import { tooManyRequests, tooOld } from "../api-error.ts";
import { Audience } from "./audience.ts";
import { Occurrence } from "./occurrence.ts";
import { StatePages } from "./state-pages.ts";
import type { WatchLimits, WatchRequest } from "./watch-request.ts";
import { Watcher } from "./watcher.ts";

/**
 * Changes that follow each other within this time are told together: each watcher costs a TLS record and a system call for each piece, however
 * little is in it. A change after a pause is told at once.
 */
const gatherMs = 5;

/** Tells every watcher what changed. What changed together is written down once for all watchers that see it alike, as one piece. */
export class WatchHub implements Disposable {
  readonly #store: Store;
  readonly #limits: WatchLimits;
  readonly #nowMs: () => number;
  readonly #pages: StatePages;
  /** By the prefix of the kind's keys. */
  readonly #kinds = new Map<string, Set<Audience>>();
  readonly #clients = new Map<string, number>();
  readonly #subscription: Disposable;
  readonly #bookmarks: NodeJS.Timeout;
  /** Committed, and to be told when the timer fires. */
  #waiting: Change[] = [];
  #timer: NodeJS.Timeout | undefined;
  #toldAtMs = 0;
  #count = 0;
  /** Counters for /metrics. */
  readonly counts = { eventsSent: 0, slowClosed: 0, refused: 0 };

  constructor(store: Store, limits: WatchLimits, nowMs: () => number) {
    this.#store = store;
    this.#limits = limits;
    this.#nowMs = nowMs;
    this.#pages = new StatePages(store, nowMs);
    this.#subscription = store.subscribe((changes) => this.#take(changes));
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
    const audience = this.#audienceOf(request);
    const watcher = new Watcher(request, audience, response, this.#limits, this.#nowMs);
    audience.members.add(watcher);
    this.#clients.set(request.client, perClient + 1);
    this.#count += 1;
    try {
      await watcher.run(this.#store, this.#pages);
    } finally {
      audience.members.delete(watcher);
      if (audience.members.size === 0) this.#forget(request, audience);
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
    const prefix = keyPrefix({ group, plural });
    const audiences = this.#kinds.get(prefix);
    // Who comes from now on sees the kind as it is now, and belongs to another audience.
    this.#kinds.delete(prefix);
    endAll(audiences);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#bookmarks);
    clearTimeout(this.#timer);
    this.#subscription[Symbol.dispose]();
    for (const audiences of this.#kinds.values()) endAll(audiences);
  }

  #audienceOf(request: WatchRequest): Audience {
    const prefix = keyPrefix(request.resource);
    const audiences = this.#kinds.get(prefix) ?? new Set();
    this.#kinds.set(prefix, audiences);
    for (const audience of audiences) if (audience.admits(request)) return audience;
    const audience = new Audience(request);
    audiences.add(audience);
    return audience;
  }

  #forget(request: WatchRequest, audience: Audience): void {
    const prefix = keyPrefix(request.resource);
    const audiences = this.#kinds.get(prefix);
    if (audiences?.delete(audience) === true && audiences.size === 0) this.#kinds.delete(prefix);
  }

  #take(changes: readonly Change[]): void {
    this.#waiting.push(...changes);
    if (this.#timer !== undefined) return;
    const sinceMs = this.#nowMs() - this.#toldAtMs;
    if (sinceMs < 0 || sinceMs >= gatherMs) this.#tell();
    else this.#timer = setTimeout(() => this.#tell(), gatherMs - sinceMs);
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const changes = this.#waiting;
    this.#waiting = [];
    const nowMs = this.#nowMs();
    this.#toldAtMs = nowMs;
    const happened = new Map<Set<Audience>, Occurrence[]>();
    for (const change of changes) {
      const [, group = "", plural = ""] = change.key.split("/", 3);
      const audiences = this.#kinds.get(`/${group}/${plural}/`);
      if (audiences === undefined) continue;
      const occurrences = happened.get(audiences) ?? [];
      occurrences.push(new Occurrence(change, nowMs));
      happened.set(audiences, occurrences);
    }
    for (const [audiences, occurrences] of happened) for (const audience of audiences) audience.tell(occurrences);
  }

  #sendBookmarks(): void {
    // A bookmark says that everything up to its revision was told.
    this.#tell();
    for (const audiences of this.#kinds.values())
      for (const { members } of audiences) for (const watcher of members) watcher.bookmark(this.#store.durable, false);
  }
}

function endAll(audiences: ReadonlySet<Audience> | undefined): void {
  for (const { members } of audiences ?? []) for (const watcher of members) watcher.end();
}
