import { type BackOff, type Clock, createBackOff, toError } from "@cilium-ts/std";
import type { KubernetesClient, Selector } from "./client.ts";
import { isExpired, KubernetesError } from "./kubernetes-error.ts";
import { type KubernetesList, type KubernetesObject, type ObjectReference, referenceTo } from "./kubernetes-object.ts";
import type { Resource } from "./resource.ts";
import type { WatchEvent } from "./watch-event.ts";

export type ReflectState =
  | { readonly kind: "listing" }
  | { readonly kind: "watching"; readonly objects: number; readonly resourceVersion: string }
  /** What is mirrored stays as it was meanwhile. */
  | { readonly kind: "waiting"; readonly failure: Error; readonly failures: number; readonly delayMs: number };

export interface ReflectOptions {
  readonly client: KubernetesClient;
  readonly resource: Resource;
  /** All namespaces when absent. */
  readonly namespace?: string;
  readonly selector?: Selector;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random?: () => number;
  /** Objects of one page of a list. 500 when absent. */
  readonly pageSize?: number;
  /** The server is asked to end each watch after this, less a random fifth. 300 when absent. */
  readonly watchTimeoutSeconds?: number;
  /** How much longer a watch may last before it is given up. 15 when absent. */
  readonly watchGraceSeconds?: number;
  /** An object is new or has changed. Never called twice for one version of it. */
  onUpsert(object: KubernetesObject): void;
  /** An object is gone: deleted while we watched, or found missing by a list. Called once for each object. */
  onDelete(reference: ObjectReference): void;
  /** A list is complete: all that it held was upserted, and all that it lacked was deleted. */
  onListed?(listed: { readonly objects: number; readonly vanished: number }): void;
  onState?(state: ReflectState): void;
}

const delayMsMin = 100;
const delayMsMax = 30_000;
/** A watch that lasted this long was a good one, whatever ended it. */
const goodWatchMs = 1_000;
/** After so many watches in a row that went wrong at the same version, list again: the trouble may lie in what comes next. */
const stuckWatchesMax = 3;
/** Answers that say nothing about the version that was asked for. A server that is down or busy must not be listed by all at once. */
const passingStatuses: readonly number[] = [0, 401, 403, 429, 503];

/**
 * Mirrors one collection of the API until aborted: a list in pages, then a watch from the list's version, resumed from the last
 * version seen whenever it ends, and a list again when the server has thrown that version away. No change is missed and none is
 * reported twice; changes that follow each other quickly while the connection is down may be reported as one. Objects are handed on
 * one at a time and only their names and versions are kept. Rejects only with what the callbacks throw.
 */
export async function reflect(options: ReflectOptions): Promise<void> {
  await new Reflection(options).run();
}

interface Known {
  readonly namespace: string;
  readonly name: string;
  uid: string;
  resourceVersion: string;
  /** Number of the list in which it was last seen. */
  listNumber: number;
}

/** A callback threw: our own mistake, not the server's. */
class CallbackFailure extends Error {}

class Reflection {
  readonly #options: ReflectOptions;
  readonly #backOff: BackOff;
  readonly #known = new Map<string, Known>();
  #pageSize: number;
  /** Pages of one list expired while they were read: the next list is read whole. */
  #pagesExpired = false;
  #listNumber = 0;
  /** Where the next watch begins; undefined before a list. */
  #resourceVersion: string | undefined;
  #failures = 0;
  #stuckWatches = 0;
  /** The server has accepted the last watch. */
  #opened = false;

  constructor(options: ReflectOptions) {
    this.#options = options;
    this.#backOff = createBackOff({ delayMsMin, delayMsMax, random: options.random ?? Math.random });
    this.#pageSize = options.pageSize ?? 500;
  }

  async run(): Promise<void> {
    const { signal } = this.#options;
    while (!signal.aborted) {
      try {
        const from = this.#resourceVersion ?? (await this.#list());
        await this.#watch(from);
      } catch (cause) {
        if (cause instanceof CallbackFailure) throw cause.cause;
        if (signal.aborted) return;
        await this.#wait(toError(cause));
      }
    }
  }

  async #list(): Promise<string> {
    const { client, resource, namespace, selector, signal } = this.#options;
    this.#state({ kind: "listing" });
    this.#listNumber += 1;
    const scope = { signal, ...(namespace !== undefined && { namespace }), ...(selector !== undefined && { selector }) };
    let resourceVersion: string;
    let continueToken: string | undefined;
    const ask = (): Promise<KubernetesList> => {
      const paging = this.#pagesExpired ? {} : { limit: this.#pageSize };
      const asked = client.list(resource, { ...scope, ...paging, ...(continueToken !== undefined && { continueToken }) });
      asked.catch(() => {}); // Nobody waits for it any more when what is done with the page before fails.
      return asked;
    };
    try {
      let page = await ask();
      resourceVersion = page.resourceVersion; // A later page may be newer; from the first on, nothing is missed.
      for (;;) {
        continueToken = page.continueToken;
        const next = continueToken === undefined ? undefined : ask(); // The server makes it while this one is taken in.
        for (const object of page.items) this.#upsertListed(object);
        if (next === undefined) break;
        page = await next;
      }
    } catch (cause) {
      if (continueToken !== undefined && isExpired(cause)) this.#pagesExpired = true;
      if (cause instanceof KubernetesError && cause.reason === "TooLarge") this.#pageSize = Math.max(1, Math.floor(this.#pageSize / 4));
      throw cause;
    }
    this.#pagesExpired = false;
    this.#opened = false;
    const vanished = this.#deleteUnlisted();
    this.#resourceVersion = resourceVersion;
    this.#stuckWatches = 0;
    this.#call(() => this.#options.onListed?.({ objects: this.#known.size, vanished }));
    return resourceVersion;
  }

  async #watch(resourceVersion: string): Promise<void> {
    const { client, resource, namespace, selector, signal, clock, random = Math.random } = this.#options;
    const { watchTimeoutSeconds = 300, watchGraceSeconds = 15 } = this.#options;
    const timeoutSeconds = Math.max(1, Math.round(watchTimeoutSeconds * (1 - random() / 5)));
    const stop = new AbortController();
    const stopped = AbortSignal.any([signal, stop.signal]);
    const tooLong = new KubernetesError({
      message: `WATCH ${resource.plural}: no end after ${timeoutSeconds} s`,
      status: 0,
      reason: "Timeout",
    });
    clock.sleep((timeoutSeconds + watchGraceSeconds) * 1000, stopped).then(
      () => stop.abort(tooLong),
      () => {}, // Rejects only when the watch has ended first.
    );
    let openedAtMs: number | undefined;
    let events = 0;
    this.#opened = false;
    const onOpen = (): void => {
      this.#opened = true;
      openedAtMs = clock.nowMs();
      this.#state({ kind: "watching", objects: this.#known.size, resourceVersion });
    };
    const lasted = (): boolean => openedAtMs !== undefined && clock.nowMs() - openedAtMs >= goodWatchMs;
    try {
      const scope = { ...(namespace !== undefined && { namespace }), ...(selector !== undefined && { selector }) };
      for await (const event of client.watch(resource, { ...scope, resourceVersion, timeoutSeconds, signal: stopped, onOpen })) {
        this.#take(event);
        events += 1;
      }
      if (events === 0 && !lasted()) {
        throw new KubernetesError({ message: `WATCH ${resource.plural}: the server ended it at once`, status: 0, reason: "Unreachable" });
      }
      this.#stuckWatches = 0;
    } finally {
      if (lasted()) this.#failures = 0;
      stop.abort();
    }
  }

  #take(event: WatchEvent): void {
    this.#failures = 0;
    this.#stuckWatches = 0;
    if (event.type === "BOOKMARK") {
      this.#resourceVersion = event.resourceVersion;
      return;
    }
    if (event.type === "DELETED") this.#delete(event.object);
    else this.#upsert(event.object);
    this.#resourceVersion = event.object.metadata.resourceVersion;
  }

  /** What a list says is so, even if its versions are older than those seen before: a server that was restored from a backup counts anew. */
  #upsertListed(object: KubernetesObject): void {
    const { namespace, name } = referenceTo(object);
    const known = this.#known.get(`${namespace}/${name}`);
    if (
      known !== undefined &&
      known.listNumber !== this.#listNumber &&
      isOlder(object.metadata.resourceVersion ?? "", known.resourceVersion)
    )
      known.resourceVersion = "";
    this.#upsert(object);
  }

  #upsert(object: KubernetesObject): void {
    const { namespace, name, uid } = referenceTo(object);
    const resourceVersion = object.metadata.resourceVersion ?? "";
    const key = `${namespace}/${name}`;
    const known = this.#known.get(key);
    if (known === undefined) {
      this.#known.set(key, { namespace, name, uid, resourceVersion, listNumber: this.#listNumber });
      this.#call(() => this.#options.onUpsert(object));
      return;
    }
    known.listNumber = this.#listNumber;
    if (known.uid === uid && known.resourceVersion === resourceVersion) return;
    if (isOlder(resourceVersion, known.resourceVersion)) return; // Seen already, by a later page of the list.
    const before = known.uid;
    known.uid = uid;
    known.resourceVersion = resourceVersion;
    // Another object has taken the name while nobody watched: the one before it is gone.
    if (before !== uid) this.#call(() => this.#options.onDelete({ namespace, name, uid: before }));
    this.#call(() => this.#options.onUpsert(object));
  }

  #delete(object: KubernetesObject): void {
    const reference = referenceTo(object);
    const key = `${reference.namespace}/${reference.name}`;
    if (this.#known.get(key)?.uid !== reference.uid) return; // Reported already, or its name belongs to another by now.
    this.#known.delete(key);
    this.#call(() => this.#options.onDelete(reference));
  }

  #deleteUnlisted(): number {
    let vanished = 0;
    for (const [key, { namespace, name, uid, listNumber }] of this.#known) {
      if (listNumber === this.#listNumber) continue;
      this.#known.delete(key);
      vanished += 1;
      this.#call(() => this.#options.onDelete({ namespace, name, uid }));
    }
    return vanished;
  }

  async #wait(failure: Error): Promise<void> {
    const { clock, signal } = this.#options;
    this.#failures += 1;
    const status = failure instanceof KubernetesError ? failure.status : 0;
    if (this.#opened || !passingStatuses.includes(status)) this.#stuckWatches += 1;
    if (isExpired(failure) || this.#stuckWatches >= stuckWatchesMax) this.#resourceVersion = undefined;
    const askedMs = failure instanceof KubernetesError ? (failure.retryAfterMs ?? 0) : 0;
    const delayMs = Math.min(delayMsMax, Math.max(askedMs, this.#backOff.delayMs(this.#failures)));
    this.#state({ kind: "waiting", failure, failures: this.#failures, delayMs });
    await clock.sleep(delayMs, signal).catch(() => {}); // Rejects only on abort.
  }

  #state(state: ReflectState): void {
    this.#call(() => this.#options.onState?.(state));
  }

  #call(callback: () => void): void {
    try {
      callback();
    } catch (cause) {
      throw new CallbackFailure("a callback failed", { cause });
    }
  }
}

/** Versions of the API are decimal numbers that grow. Those of a server that counts otherwise are never older. */
function isOlder(version: string, than: string): boolean {
  if (!/^[0-9]{1,20}$/.test(version) || !/^[0-9]{1,20}$/.test(than)) return false;
  return version.length === than.length ? version < than : version.length < than.length;
}
