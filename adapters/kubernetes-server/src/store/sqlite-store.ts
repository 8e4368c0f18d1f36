import { statSync } from "node:fs";
import Database from "better-sqlite3";
import {
  type Change,
  type ChangesResult,
  defaultHistoryLimits,
  type HistoryLimits,
  type ListRange,
  type ListResult,
  type Store,
  type StoredObject,
  StoreError,
  type Write,
  type WriteResult,
} from "./store.ts";
import { VersionTable } from "./version-table.ts";

export interface SqliteStoreOptions {
  /** The database file; it is made when missing, its folder is not. */
  readonly path: string;
  readonly history?: HistoryLimits;
}

/** What better-sqlite3 makes files with. */
const pageSizeBytes = 4_096;
/** Writes of one batch before it is committed without waiting for the turn to end. */
const batchWritesMax = 1_000;

interface Batch {
  readonly changes: Change[];
  readonly durable: PromiseWithResolvers<void>;
}

/**
 * Opens the file and owns it until disposed; a second owner is refused.
 * Writes of one turn of the event loop share one transaction and one fsync (WAL, synchronous=FULL).
 */
export function openSqliteStore(options: SqliteStoreOptions): Store {
  let database: Database.Database | undefined;
  // SQLite makes whole pages of what is missing, and objects would be gone without a word. With a log beside it, the file is made whole from that.
  const sizeBytes = sizeOf(options.path);
  if (sizeBytes % pageSizeBytes !== 0 && sizeOf(`${options.path}-wal`) === 0)
    throw damaged(options.path, `it ends after ${sizeBytes} bytes, within a page`);
  try {
    database = new Database(options.path, { timeout: 0 });
    database.pragma("locking_mode = exclusive");
    database.pragma("journal_mode = wal");
    database.pragma("synchronous = full");
    database.pragma("cache_size = -65536");
    return new SqliteStore(database, options.history ?? defaultHistoryLimits);
  } catch (cause) {
    database?.close();
    if (isBusy(cause))
      throw new StoreError(`${options.path} is in use by another server; stop that one first or choose another state directory`, { cause });
    if (isDamaged(cause)) throw damaged(options.path, cause.message, cause);
    throw new StoreError(`cannot open the store ${options.path}`, { cause });
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function damaged(path: string, how: string, cause?: unknown): StoreError {
  return new StoreError(`${path} is damaged (${how}); put a backup in its place, or move it away to begin with an empty store`, { cause });
}

function isDamaged(cause: unknown): cause is Error {
  return cause instanceof Database.SqliteError && (cause.code === "SQLITE_NOTADB" || cause.code.startsWith("SQLITE_CORRUPT"));
}

function isBusy(cause: unknown): boolean {
  return cause instanceof Database.SqliteError && (cause.code.startsWith("SQLITE_BUSY") || cause.code.startsWith("SQLITE_LOCKED"));
}

class SqliteStore implements Store {
  readonly isShared = false;
  readonly #database: Database.Database;
  readonly #table: VersionTable;
  readonly #listeners = new Set<(changes: readonly Change[]) => void>();
  #durable: number;
  #batch: Batch | undefined;
  #flush: NodeJS.Immediate | undefined;

  constructor(database: Database.Database, limits: HistoryLimits) {
    this.#database = database;
    this.#table = new VersionTable(database, limits);
    this.#durable = this.#table.revision;
  }

  get revision(): number {
    return this.#table.revision;
  }

  get durable(): number {
    return this.#durable;
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

  async write(write: Write): Promise<WriteResult> {
    const before = this.get(write.key);
    const found = before?.revision ?? 0;
    if (found !== write.expected || (write.deleted && before === undefined)) return { outcome: "conflict", revision: found };
    const revision = this.#table.revision + 1;
    const text = write.encode(revision);
    const batch = this.#openBatch();
    batch.changes.push(this.#table.record(write.key, revision, text, write.deleted, before));
    if (batch.changes.length >= batchWritesMax) this.#commit();
    await batch.durable.promise;
    return { outcome: "written", revision, text };
  }

  current(): Promise<void> {
    return this.#batch?.durable.promise ?? Promise.resolve();
  }

  subscribe(listener: (changes: readonly Change[]) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#commit();
    this.#listeners.clear();
    this.#database.close();
  }

  #openBatch(): Batch {
    if (this.#batch !== undefined) return this.#batch;
    this.#database.exec("begin immediate");
    const durable = Promise.withResolvers<void>();
    // A batch may fail with nobody waiting any more; that is no reason to end the process.
    durable.promise.catch(() => undefined);
    this.#batch = { changes: [], durable };
    this.#flush = setImmediate(() => this.#commit());
    return this.#batch;
  }

  #commit(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    clearImmediate(this.#flush);
    try {
      this.#table.compact();
      this.#table.saveRevision();
      this.#database.exec("commit");
    } catch (cause) {
      if (this.#database.inTransaction) this.#database.exec("rollback");
      this.#table.readCounters();
      batch.durable.reject(
        new StoreError(`the store could not write ${batch.changes.length} changes; nothing of them was kept`, { cause }),
      );
      return;
    }
    this.#durable = this.#table.revision;
    batch.durable.resolve();
    for (const listener of this.#listeners) listener(batch.changes);
  }
}
