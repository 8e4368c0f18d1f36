/** One version of one object. The text is its JSON as it was stored; keys are `/group/plural/[namespace/]name`. */
export interface StoredObject {
  readonly key: string;
  /** The revision that wrote this version: the object's `resourceVersion`. */
  readonly revision: number;
  readonly text: string;
}

/** One committed write, as watchers see it. */
export interface Change {
  readonly key: string;
  readonly revision: number;
  /** The object after the change; for a deletion, the last state with the revision of the deletion. */
  readonly text: string;
  /** The object before the change; undefined when it did not exist. */
  readonly previous: string | undefined;
  readonly deleted: boolean;
}

export interface Write {
  readonly key: string;
  /** The revision that the writer read: 0 means that the key must not exist. */
  readonly expected: number;
  /** The JSON text to store, which holds the revision once at most. It must not touch the store, and gives the same text each time. */
  readonly encode: (revision: number) => string;
  readonly deleted: boolean;
}

export type WriteResult =
  /** And durable. */
  | { readonly outcome: "written"; readonly revision: number; readonly text: string }
  /** Somebody else was faster; `revision` is what is there now, 0 for nothing. */
  | { readonly outcome: "conflict"; readonly revision: number };

export interface ListRange {
  readonly prefix: string;
  /** Only keys behind this one. */
  readonly after?: string;
  readonly limit?: number;
  /** The state as of this revision; absent: the newest. */
  readonly revision?: number;
}

export type ListResult =
  | {
      readonly outcome: "listed";
      readonly revision: number;
      readonly items: readonly StoredObject[] /** How many more keys follow in the range. */;
      readonly remaining: number;
    }
  /** The asked revision is older than what the history keeps. */
  | { readonly outcome: "compacted"; readonly oldest: number };

export type ChangesResult =
  | { readonly outcome: "changes"; readonly changes: readonly Change[] }
  | { readonly outcome: "compacted"; readonly oldest: number };

/**
 * Objects with one global revision that only grows, and a bounded history.
 *
 * Reading is synchronous and sees what this process knows. A store that no other process writes to takes a write, or refuses it, before
 * `write` returns its promise, so that nothing comes between a `get` and the write that follows from it.
 */
export interface Store extends AsyncDisposable {
  /** Other processes write to it too: what is read here may be old, unless `current()` was waited for. */
  readonly isShared: boolean;
  /** The newest revision that is known here, durable or not; 0 for an empty store. */
  readonly revision: number;
  /** The newest revision that no crash can take back. */
  readonly durable: number;
  /** Changes after this revision can still be told. */
  readonly oldest: number;
  get(key: string): StoredObject | undefined;
  list(range: ListRange): ListResult;
  /** Resolves when the write is durable and seen here. Rejects with a StoreError when it was lost, or may be. */
  write(write: Write): Promise<WriteResult>;
  /** What was written after the revision to keys with the prefix, in order, at most `limit`. */
  changes(after: number, limit: number, prefix?: string): ChangesResult;
  /** Resolves when everything that was written before the call, by whomever, is seen here and durable; rejects when it was lost. */
  current(): Promise<void>;
  /** Called after each commit with its changes in order. The listener must not throw. */
  subscribe(listener: (changes: readonly Change[]) => void): Disposable;
}

/** How much history a store keeps for watchers that come back. */
export interface HistoryLimits {
  readonly revisionsMax: number;
  readonly sizeBytesMax: number;
}

export const defaultHistoryLimits: HistoryLimits = { revisionsMax: 100_000, sizeBytesMax: 256 * 1024 * 1024 };

/** The world failed under the store: the disk is full, the file is damaged, another process owns it, etcd does not answer. */
export class StoreError extends Error {
  override readonly name = "StoreError";
}

/** The first key that is behind every key with the prefix. Prefixes end in `/` or are whole keys followed by nothing. */
export function prefixEnd(prefix: string): string {
  const last = prefix.charCodeAt(prefix.length - 1);
  return prefix.slice(0, -1) + String.fromCharCode(last + 1);
}
