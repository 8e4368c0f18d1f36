import { KeyQueue } from "./key-queue.ts";

/** What should be true: rows by primary key. Rows are replaced, never mutated. */
export interface ReadonlyTable<K, Row> {
  readonly name: string;
  readonly size: number;
  get(key: K): Readonly<Row> | undefined;
  keys(): Iterable<K>;
  rows(): Iterable<Readonly<Row>>;
  /** Settles once every declared source has delivered its first full list. */
  readonly synced: Promise<void>;
  /** The declared sources that have not delivered yet: what a start that hangs is waiting for. */
  readonly pendingSources: readonly string[];
  /** A queue holding every present key now, and every changed or deleted key from now on. */
  watch(): KeyQueue<K> & Disposable;
}

export interface TableOptions<K, Row> {
  name: string;
  keyOf: (row: Row) => K;
  sources: readonly string[];
  /** When given, a row equal to the one in place changes nothing and wakes nobody. */
  equals?: (one: Readonly<Row>, other: Readonly<Row>) => boolean;
}

export class Table<K, Row> implements ReadonlyTable<K, Row> {
  readonly name: string;
  readonly #keyOf: (row: Row) => K;
  readonly #equals: ((one: Readonly<Row>, other: Readonly<Row>) => boolean) | undefined;
  readonly #rows = new Map<K, Readonly<Row>>();
  readonly #watchers = new Set<KeyQueue<K>>();
  readonly #pendingSources: Set<string>;
  readonly #synced: PromiseWithResolvers<void> = Promise.withResolvers<void>();

  constructor(options: TableOptions<K, Row>) {
    this.name = options.name;
    this.#keyOf = options.keyOf;
    this.#equals = options.equals;
    this.#pendingSources = new Set(options.sources);
    if (this.#pendingSources.size === 0) this.#synced.resolve();
  }

  get size(): number {
    return this.#rows.size;
  }

  keyOf(row: Row): K {
    return this.#keyOf(row);
  }

  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  get pendingSources(): readonly string[] {
    return [...this.#pendingSources];
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

  /** Freezes the row. */
  upsert(row: Row): void {
    const key = this.#keyOf(row);
    const before = this.#rows.get(key);
    if (before !== undefined && this.#equals?.(before, row) === true) return;
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
