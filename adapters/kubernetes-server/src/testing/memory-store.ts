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
  type Write,
  type WriteResult,
} from "../store/store.ts";

/** A store that forgets everything at the end: for tests, and for servers that need no memory. Commits at the end of the turn. */
export function createMemoryStore(history: HistoryLimits = defaultHistoryLimits): Store {
  return new MemoryStore(history);
}

interface Remembered extends Change {
  readonly before: StoredObject | undefined;
}

class MemoryStore implements Store {
  readonly isShared = false;
  readonly #limits: HistoryLimits;
  readonly #current = new Map<string, StoredObject>();
  readonly #listeners = new Set<(changes: readonly Change[]) => void>();
  readonly #history: Remembered[] = [];
  #historyBytes = 0;
  #revision = 0;
  #oldest = 0;
  #pending: Change[] = [];
  #durable: PromiseWithResolvers<void> | undefined;

  constructor(limits: HistoryLimits) {
    this.#limits = limits;
  }

  get revision(): number {
    return this.#revision;
  }

  /** As if it were: tests have no crashes. */
  get durable(): number {
    return this.#pending[0] === undefined ? this.#revision : this.#pending[0].revision - 1;
  }

  get oldest(): number {
    return this.#oldest;
  }

  get(key: string): StoredObject | undefined {
    return this.#current.get(key);
  }

  list(range: ListRange): ListResult {
    const revision = Math.min(range.revision ?? this.#revision, this.#revision);
    if (revision < this.#oldest) return { outcome: "compacted", oldest: this.#oldest };
    const start = range.after ?? range.prefix;
    const end = prefixEnd(range.prefix);
    const inRange = [...this.#stateAt(revision).values()].filter(({ key }) => key > start && key < end);
    inRange.sort((left, right) => (left.key < right.key ? -1 : 1));
    const items = inRange.slice(0, range.limit);
    return { outcome: "listed", revision, items, remaining: inRange.length - items.length };
  }

  async write(write: Write): Promise<WriteResult> {
    const before = this.#current.get(write.key);
    const found = before?.revision ?? 0;
    if (found !== write.expected || (write.deleted && before === undefined)) return { outcome: "conflict", revision: found };
    const revision = this.#revision + 1;
    const text = write.encode(revision);
    this.#revision = revision;
    if (write.deleted) this.#current.delete(write.key);
    else this.#current.set(write.key, { key: write.key, revision, text });
    const change = { key: write.key, revision, text, previous: before?.text, deleted: write.deleted, before };
    this.#history.push(change);
    this.#historyBytes += text.length;
    this.#pending.push(change);
    if (this.#durable === undefined) {
      this.#durable = Promise.withResolvers();
      setImmediate(() => this.#commit());
    }
    await this.#durable.promise;
    return { outcome: "written", revision, text };
  }

  changes(after: number, limit: number, prefix = "/"): ChangesResult {
    if (after < this.#oldest) return { outcome: "compacted", oldest: this.#oldest };
    return {
      outcome: "changes",
      changes: this.#history.filter(({ key, revision }) => revision > after && key.startsWith(prefix)).slice(0, limit),
    };
  }

  current(): Promise<void> {
    return this.#durable?.promise ?? Promise.resolve();
  }

  subscribe(listener: (changes: readonly Change[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#commit();
    this.#listeners.clear();
  }

  /** The newest state with the younger changes undone. */
  #stateAt(revision: number): ReadonlyMap<string, StoredObject> {
    if (revision === this.#revision) return this.#current;
    const state = new Map(this.#current);
    for (const change of this.#history.toReversed()) {
      if (change.revision <= revision) break;
      if (change.before === undefined) state.delete(change.key);
      else state.set(change.key, change.before);
    }
    return state;
  }

  #commit(): void {
    const changes = this.#pending;
    this.#pending = [];
    this.#durable?.resolve();
    this.#durable = undefined;
    while (this.#history.length > this.#limits.revisionsMax || this.#historyBytes > this.#limits.sizeBytesMax) {
      const forgotten = this.#history.shift();
      if (forgotten === undefined) break;
      this.#oldest = forgotten.revision;
      this.#historyBytes -= forgotten.text.length;
    }
    if (changes.length > 0) for (const listener of this.#listeners) listener(changes);
  }
}
