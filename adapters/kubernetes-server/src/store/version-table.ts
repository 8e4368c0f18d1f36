import type Database from "better-sqlite3";
import {
  type Change,
  type ChangesResult,
  type HistoryLimits,
  type ListRange,
  type ListResult,
  prefixEnd,
  type StoredObject,
} from "./store.ts";

/** Every version of every object that is current or young enough; `current` names the version of each living key. */
const layout = `
create table if not exists versions (
  revision integer primary key,
  key text not null,
  previous integer not null,
  deleted integer not null,
  size integer not null,
  text text not null
) strict;
create index if not exists versions_by_key on versions (key, revision);
create table if not exists current (key text primary key, revision integer not null) strict, without rowid;
create table if not exists meta (name text primary key, value integer not null) strict, without rowid;
insert or ignore into meta values ('layout', 1), ('oldest', 0), ('revision', 0);
`;

/** Revisions that compaction moves at a time. */
const compactionStep = 512;
/** Keys whose object, or absence, is remembered: one request asks for the same few several times, and each asks for its namespace. */
const recentKeysMax = 512;
/** Larger objects are read each time. */
const recentTextMax = 16 * 1024;

interface VersionRow {
  readonly revision: number;
  readonly key: string;
  readonly previous: number;
  readonly deleted: number;
  readonly size: number;
  readonly text: string;
}

/** Objects and their history as rows of an SQLite database, whether that is a file or not. Transactions are the caller's. */
export class VersionTable {
  readonly #limits: HistoryLimits;
  readonly #sql: ReturnType<typeof prepare>;
  #revision = 0;
  #oldest = 0;
  #historyBytes = 0;
  /** In the order in which they were asked for first. */
  readonly #recent = new Map<string, StoredObject | undefined>();

  /** Makes the tables where they are missing. */
  constructor(database: Database.Database, limits: HistoryLimits) {
    database.exec("begin exclusive");
    database.exec(layout);
    database.exec("commit");
    this.#limits = limits;
    this.#sql = prepare(database);
    this.readCounters();
  }

  get revision(): number {
    return this.#revision;
  }

  get oldest(): number {
    return this.#oldest;
  }

  get(key: string): StoredObject | undefined {
    const recent = this.#recent.get(key);
    if (recent !== undefined || this.#recent.has(key)) return recent;
    const stored = this.#sql.get.get(key) as StoredObject | undefined;
    this.#remember(key, stored);
    return stored;
  }

  list(range: ListRange): ListResult {
    const start = range.after ?? range.prefix;
    const end = prefixEnd(range.prefix);
    const limit = range.limit ?? -1;
    const revision = range.revision ?? this.#revision;
    if (revision < this.#oldest) return { outcome: "compacted", oldest: this.#oldest };
    if (revision >= this.#revision) {
      const items = this.#sql.list.all(start, end, limit) as StoredObject[];
      return { outcome: "listed", revision: this.#revision, items, remaining: this.#remaining(items, limit, end) };
    }
    const items = this.#sql.listAt.all(start, end, revision, limit) as StoredObject[];
    return { outcome: "listed", revision, items, remaining: this.#remaining(items, limit, end) };
  }

  changes(after: number, limit: number, prefix = "/"): ChangesResult {
    if (after < this.#oldest) return { outcome: "compacted", oldest: this.#oldest };
    const rows = this.#sql.changes.all(after, prefix, prefixEnd(prefix), limit) as (VersionRow & { previousText: string | null })[];
    const changes = rows.map((row) => ({
      key: row.key,
      revision: row.revision,
      text: row.text,
      previous: row.previousText ?? undefined,
      deleted: row.deleted === 1,
    }));
    return { outcome: "changes", changes };
  }

  /** Adds a version, whose revision is higher than every other; `before` is what is there now. */
  record(key: string, revision: number, text: string, deleted: boolean, before: StoredObject | undefined): Change {
    const size = text.length;
    this.#sql.insert.run(revision, key, before?.revision ?? 0, deleted ? 1 : 0, size, text);
    if (deleted) this.#sql.forget.run(key);
    else this.#sql.point.run(key, revision);
    this.#revision = Math.max(this.#revision, revision);
    this.#historyBytes += (before?.text.length ?? 0) + (deleted ? size : 0);
    this.#remember(key, deleted ? undefined : { key, revision, text });
    return { key, revision, text, previous: before?.text, deleted };
  }

  /** Nothing of ours was written in the revisions up to this one. */
  advance(revision: number): void {
    this.#revision = Math.max(this.#revision, revision);
  }

  /** There is no history before this revision. */
  startHistory(revision: number): void {
    this.advance(revision);
    this.#oldest = revision;
  }

  saveRevision(): void {
    this.#sql.meta.run(this.#revision, "revision");
  }

  /** Forgets versions that were superseded, or deletions that happened, at or before the new oldest revision. */
  compact(): void {
    let target = this.#oldest;
    if (this.#revision - this.#oldest >= this.#limits.revisionsMax + compactionStep) target = this.#revision - this.#limits.revisionsMax;
    if (this.#historyBytes > this.#limits.sizeBytesMax) target = Math.max(target, Math.min(this.#revision, this.#oldest + compactionStep));
    if (target === this.#oldest) return;
    const superseded = this.#sql.supersededSize.get(this.#oldest, target) as { size: number | null };
    const deletions = this.#sql.deletionsSize.get(this.#oldest, target) as { size: number | null };
    this.#sql.dropSuperseded.run(this.#oldest, target);
    this.#sql.dropDeletions.run(this.#oldest, target);
    this.#sql.meta.run(target, "oldest");
    this.#oldest = target;
    this.#historyBytes -= (superseded.size ?? 0) + (deletions.size ?? 0);
  }

  /** After a transaction was taken back. */
  readCounters(): void {
    this.#recent.clear();
    const read = (name: string): number => (this.#sql.readMeta.get(name) as { value: number }).value;
    this.#revision = read("revision");
    this.#oldest = read("oldest");
    this.#historyBytes = (this.#sql.historySize.get() as { size: number | null }).size ?? 0;
  }

  #remember(key: string, stored: StoredObject | undefined): void {
    this.#recent.delete(key);
    if (stored !== undefined && stored.text.length > recentTextMax) return;
    this.#recent.set(key, stored);
    if (this.#recent.size <= recentKeysMax) return;
    const [oldest] = this.#recent.keys();
    if (oldest !== undefined) this.#recent.delete(oldest);
  }

  #remaining(items: readonly StoredObject[], limit: number, end: string): number {
    const last = items.at(-1);
    if (limit < 0 || items.length < limit || last === undefined) return 0;
    return (this.#sql.count.get(last.key, end) as { count: number }).count;
  }
}

function prepare(database: Database.Database) {
  const inWindow = "revision > ? and revision <= ?";
  return {
    get: database.prepare("select v.key, v.revision, v.text from current c join versions v on v.revision = c.revision where c.key = ?"),
    list: database.prepare(
      "select v.key, v.revision, v.text from current c join versions v on v.revision = c.revision where c.key > ? and c.key < ? order by c.key limit ?",
    ),
    // With max() the other columns come from the row that has the maximum (SQLite documents this for a lone min or max).
    listAt: database.prepare(
      "select key, revision, text from (select key, max(revision) as revision, deleted, text from versions where key > ? and key < ? and revision <= ? group by key) where deleted = 0 order by key limit ?",
    ),
    count: database.prepare("select count(*) as count from current where key > ? and key < ?"),
    insert: database.prepare("insert into versions (revision, key, previous, deleted, size, text) values (?, ?, ?, ?, ?, ?)"),
    point: database.prepare(
      "insert into current (key, revision) values (?, ?) on conflict (key) do update set revision = excluded.revision",
    ),
    forget: database.prepare("delete from current where key = ?"),
    changes: database.prepare(
      "select v.revision, v.key, v.deleted, v.text, p.text as previousText from versions v left join versions p on p.revision = v.previous where v.revision > ? and v.key > ? and v.key < ? order by v.revision limit ?",
    ),
    meta: database.prepare("update meta set value = ? where name = ?"),
    readMeta: database.prepare("select value from meta where name = ?"),
    historySize: database.prepare("select sum(size) as size from versions where revision not in (select revision from current)"),
    supersededSize: database.prepare(
      `select sum(size) as size from versions where revision in (select previous from versions where ${inWindow} and previous > 0)`,
    ),
    deletionsSize: database.prepare(`select sum(size) as size from versions where ${inWindow} and deleted = 1`),
    dropSuperseded: database.prepare(
      `delete from versions where revision in (select previous from versions where ${inWindow} and previous > 0)`,
    ),
    dropDeletions: database.prepare(`delete from versions where ${inWindow} and deleted = 1`),
  };
}
