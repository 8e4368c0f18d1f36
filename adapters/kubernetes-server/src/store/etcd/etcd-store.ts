import Database from "better-sqlite3";
import {
  type Change,
  type ChangesResult,
  defaultHistoryLimits,
  type HistoryLimits,
  type ListRange,
  type ListResult,
  prefixEnd,
  type Store,
  type StoredObject,
  StoreError,
  type Write,
  type WriteResult,
} from "../store.ts";
import { VersionTable } from "../version-table.ts";
import { EtcdConnection, type EtcdTls } from "./connection.ts";
import {
  decodeRange,
  decodeWatch,
  decodeWrite,
  encodeCompact,
  encodeRange,
  encodeWatch,
  encodeWrite,
  methods,
  type WatchEvent,
  type WatchMessage,
} from "./messages.ts";
import { fill, punch } from "./revision-hole.ts";

export interface EtcdStoreOptions {
  /** Such as `http://127.0.0.1:2379`. */
  readonly endpoints: readonly string[];
  /** In front of every key, such as `/cilium-ts`: it begins with a slash and does not end in one. */
  readonly prefix: string;
  readonly tls?: EtcdTls;
  readonly history?: HistoryLimits;
  /** Called once when the store can no longer follow etcd: etcd has forgotten what happened meanwhile. The program must start again. */
  readonly onLost: (error: StoreError) => void;
  /** How old etcd's history gets. 0: somebody else compacts it. */
  readonly compactAfterMs?: number;
}

const pageSize = 500;
const defaultCompactAfterMs = 300_000;
/** How long a write or a reader waits until what etcd has done is told here. */
const seenTimeoutMs = 10_000;
const reconnectDelaysMs = { min: 50, max: 2_000 };

/**
 * Opens a store in etcd, which other servers may write to at the same time. Everything is kept in memory too and follows etcd by one
 * watch, so reading costs etcd nothing; the watch is on the whole of etcd, which is best given to this system alone: only so does each
 * revision tell itself, also to etcd 3.4.
 */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  const store = new EtcdStore(options);
  try {
    await store.load();
    return store;
  } catch (cause) {
    await store[Symbol.asyncDispose]();
    throw new StoreError(`cannot read from etcd at ${options.endpoints.join(", ")}`, { cause });
  }
}

interface Waiter {
  readonly revision: number;
  readonly seen: PromiseWithResolvers<void>;
  readonly timer: NodeJS.Timeout;
}

class EtcdStore implements Store {
  readonly isShared = true;
  readonly #options: EtcdStoreOptions;
  readonly #database = new Database(":memory:");
  readonly #table: VersionTable;
  readonly #connection: EtcdConnection;
  readonly #listeners = new Set<(changes: readonly Change[]) => void>();
  readonly #stop = new AbortController();
  readonly #waiters = new Set<Waiter>();
  #following: Promise<void> = Promise.resolve();
  #reading: Promise<number> = Promise.resolve(0);
  #nextReading: Promise<number> | undefined;
  #compaction: NodeJS.Timeout | undefined;

  constructor(options: EtcdStoreOptions) {
    this.#options = options;
    this.#table = new VersionTable(this.#database, options.history ?? defaultHistoryLimits);
    this.#connection = new EtcdConnection({ endpoints: options.endpoints, tls: options.tls });
  }

  get revision(): number {
    return this.#table.revision;
  }

  get durable(): number {
    return this.#table.revision;
  }

  get oldest(): number {
    return this.#table.oldest;
  }

  get(key: string): StoredObject | undefined {
    return this.#table.get(key);
  }

  list(range: ListRange): ListResult {
    return this.#table.list(range);
  }

  changes(after: number, limit: number, prefix = "/"): ChangesResult {
    return this.#table.changes(after, limit, prefix);
  }

  async write({ key, expected, encode, deleted }: Write): Promise<WriteResult> {
    const found = this.#table.get(key)?.revision ?? 0;
    if (found !== expected || (deleted && found === 0)) return { outcome: "conflict", revision: found };
    const request = encodeWrite(this.#options.prefix + key, expected, deleted ? undefined : punch(encode));
    const answer = decodeWrite(await this.#connection.call(methods.transaction, request, false));
    await this.#seen(answer.revision);
    if (!answer.isWritten) return { outcome: "conflict", revision: answer.found };
    return { outcome: "written", revision: answer.revision, text: encode(answer.revision) };
  }

  async current(): Promise<void> {
    await this.#seen(await this.#readRevision());
  }

  subscribe(listener: (changes: readonly Change[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#compaction);
    this.#connection[Symbol.dispose]();
    for (const waiter of this.#waiters) this.#settle(waiter, new StoreError("the store was closed"));
    await this.#following;
    this.#listeners.clear();
    this.#database.close();
  }

  /** Reads everything as it was at one revision, and follows from there. */
  async load(): Promise<void> {
    const { prefix } = this.#options;
    const end = prefixEnd(`${prefix}/`);
    let key = `${prefix}/`;
    let revision: number | undefined;
    this.#database.exec("begin");
    for (;;) {
      const request = encodeRange({ key, end, limit: pageSize, ...(revision !== undefined && { revision }) });
      const page = decodeRange(await this.#connection.call(methods.range, request, true));
      revision ??= page.revision;
      for (const item of page.items) {
        this.#table.record(item.key.slice(prefix.length), item.modRevision, fill(item.value, item.modRevision), false, undefined);
        key = `${item.key}\0`;
      }
      if (!page.hasMore) break;
    }
    this.#table.startHistory(revision);
    this.#database.exec("commit");
    this.#following = this.#follow();
    this.#startCompaction();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    let delayMs = reconnectDelaysMs.min;
    while (!signal.aborted) {
      const before = this.#table.revision;
      try {
        await this.#connection.stream(methods.watch, encodeWatch(before + 1), (message) => this.#take(decodeWatch(message)), signal);
      } catch {
        // Whatever broke the stream, another one tells what is missing; who waits for it has a deadline.
      }
      delayMs = this.#table.revision > before ? reconnectDelaysMs.min : Math.min(delayMs * 2, reconnectDelaysMs.max);
      await pause(delayMs, signal);
    }
  }

  #take(message: WatchMessage): void {
    if (this.#stop.signal.aborted) return;
    if (message.compactRevision > 0) {
      const why = `etcd has forgotten what happened after revision ${this.#table.revision}, while it could not be reached; start the server again`;
      this.#stop.abort();
      this.#options.onLost(new StoreError(why));
      return;
    }
    if (message.isCanceled) throw new StoreError(`etcd ended the watch: ${message.reason}`);
    const changes = this.#apply(message.events);
    for (const waiter of this.#waiters) if (waiter.revision <= this.#table.revision) this.#settle(waiter, undefined);
    if (changes.length > 0) for (const listener of this.#listeners) listener(changes);
  }

  #apply(events: readonly WatchEvent[]): readonly Change[] {
    const { prefix } = this.#options;
    const changes: Change[] = [];
    let newest = this.#table.revision;
    this.#database.exec("begin");
    for (const { item, previous, isDeletion } of events) {
      const { key, modRevision } = item;
      newest = Math.max(newest, modRevision);
      if (!key.startsWith(`${prefix}/`) || modRevision <= this.#table.revision) continue;
      const own = key.slice(prefix.length);
      const before = this.#table.get(own);
      if (isDeletion && before === undefined) continue;
      const stored = isDeletion ? previous?.value : item.value;
      // etcd may have compacted what was deleted; then the text keeps the revision that it had.
      const text = stored === undefined ? (before?.text ?? "{}") : fill(stored, modRevision);
      changes.push(this.#table.record(own, modRevision, text, isDeletion, before));
    }
    this.#table.advance(newest);
    this.#table.compact();
    this.#database.exec("commit");
    return changes;
  }

  /** The revision that the cluster agrees upon now. Those who come while a question is on its way share the next one. */
  #readRevision(): Promise<number> {
    this.#nextReading ??= this.#reading
      .catch(() => 0)
      .then(() => {
        this.#nextReading = undefined;
        this.#reading = this.#askRevision();
        return this.#reading;
      });
    return this.#nextReading;
  }

  async #askRevision(): Promise<number> {
    const request = encodeRange({ key: `${this.#options.prefix}/`, countOnly: true });
    return decodeRange(await this.#connection.call(methods.range, request, true)).revision;
  }

  async #seen(revision: number): Promise<void> {
    if (this.#table.revision >= revision) return;
    const seen = Promise.withResolvers<void>();
    const why = `etcd is at revision ${revision} and has not told of it within ${seenTimeoutMs} ms; what was written is kept`;
    const timer = setTimeout(() => this.#settle(waiter, new StoreError(why)), seenTimeoutMs);
    const waiter: Waiter = { revision, seen, timer };
    this.#waiters.add(waiter);
    await seen.promise;
  }

  #settle(waiter: Waiter, error: StoreError | undefined): void {
    clearTimeout(waiter.timer);
    this.#waiters.delete(waiter);
    if (error === undefined) waiter.seen.resolve();
    else waiter.seen.reject(error);
  }

  /** Lets etcd forget what is older than the interval; every server does so, and the first is enough. */
  #startCompaction(): void {
    const afterMs = this.#options.compactAfterMs ?? defaultCompactAfterMs;
    if (afterMs === 0) return;
    let before = 0;
    let compacted = 0;
    this.#compaction = setInterval(() => {
      const revision = before;
      before = this.#table.revision;
      if (revision === compacted) return;
      compacted = revision;
      // Another server may have compacted further; then etcd refuses, and all is as it should be.
      this.#connection.call(methods.compact, encodeCompact(revision), true).catch(() => undefined);
    }, afterMs).unref();
  }
}

async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, delayMs);
  const stop = () => over.resolve();
  signal.addEventListener("abort", stop, { once: true });
  await over.promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", stop);
}
