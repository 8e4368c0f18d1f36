import { KeyQueue } from "./key-queue.ts";

/** What should be true: rows by primary key. Rows are replaced, never mutated. */
export interface ReadonlyTable<K, Row> {
  readonly name: string;
  get(key: K): Readonly<Row> | undefined;
  keys(): Iterable<K>;
  rows(): Iterable<Readonly<Row>>;
  /** Settles once every declared source has delivered its first full list. */
  readonly synced: Promise<void>;
  /** A queue holding every present key now, and every changed or deleted key from now on. */
  watch(): KeyQueue<K> & Disposable;
}

export class Table<K, Row> implements ReadonlyTable<K, Row> {
  readonly name: string;
  readonly #keyOf: (row: Row) => K;
  readonly #rows = new Map<K, Readonly<Row>>();
  readonly #watchers = new Set<KeyQueue<K>>();
  readonly #pendingSources: Set<string>;
  readonly #synced: PromiseWithResolvers<void> = Promise.withResolvers<void>();

  constructor(options: { name: string; keyOf: (row: Row) => K; sources: readonly string[] }) {
    this.name = options.name;
    this.#keyOf = options.keyOf;
    this.#pendingSources = new Set(options.sources);
    if (this.#pendingSources.size === 0) this.#synced.resolve();
  }

  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  get(key: K): Readonly<Row> | undefined {
    return this.#rows.get(key);
  }

  keys(): Iterable<K> {
    return this.#rows.keys();
  }

  rows(): Iterable<Readonly<Row>> {
    return this.#rows.values();
  }

  upsert(row: Row): void {
    const key = this.#keyOf(row);
    this.#rows.set(key, Object.freeze(row));
    this.#mark(key);
  }

  delete(key: K): void {
    if (this.#rows.delete(key)) this.#mark(key);
  }

  markSynced(source: string): void {
    if (!this.#pendingSources.delete(source)) throw new Error(`table ${this.name}: source ${source} is unknown or already synced`);
    if (this.#pendingSources.size === 0) this.#synced.resolve();
  }

  watch(): KeyQueue<K> & Disposable {
    const queue = new KeyQueue<K>();
    for (const key of this.#rows.keys()) queue.mark(key);
    this.#watchers.add(queue);
    return Object.assign(queue, { [Symbol.dispose]: () => void this.#watchers.delete(queue) });
  }

  #mark(key: K): void {
    for (const watcher of this.#watchers) watcher.mark(key);
  }
}
