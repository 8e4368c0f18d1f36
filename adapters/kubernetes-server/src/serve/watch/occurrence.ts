import type { Mutable } from "../../schema/schema.ts";
import type { Change, StoredObject } from "../../store/store.ts";
import { decodeObject } from "../object-text.ts";

/** One change, parsed at most once for all who look at it. */
export class Occurrence {
  readonly change: Change;
  readonly nowMs: number;
  #object: Mutable | undefined;
  #previous: Mutable | undefined;
  #departed: string | undefined;

  constructor(change: Change, nowMs: number) {
    this.change = change;
    this.nowMs = nowMs;
  }

  /** An object that was there before anybody watched: as if it had just been made. */
  static ofState({ key, revision, text }: StoredObject, nowMs: number): Occurrence {
    return new Occurrence({ key, revision, text, previous: undefined, deleted: false }, nowMs);
  }

  get object(): Mutable {
    this.#object ??= decodeObject(this.change.text);
    return this.#object;
  }

  get previous(): Mutable | undefined {
    if (this.change.previous === undefined) return undefined;
    this.#previous ??= decodeObject(this.change.previous);
    return this.#previous;
  }

  /** The object as it was before the change, with the revision of the change: what those are told whose selectors it no longer matches. */
  get departed(): string {
    if (this.#departed === undefined) {
      const before = this.previous ?? this.object;
      const metadata = { ...(before.metadata as Mutable), resourceVersion: String(this.change.revision) };
      this.#departed = JSON.stringify({ ...before, metadata });
    }
    return this.#departed;
  }
}
