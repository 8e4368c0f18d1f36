import { originsKey } from "./origins.ts";
import type { RuleOrigin } from "./rule.ts";

interface Row {
  readonly cookie: number;
  readonly key: string;
  readonly origins: readonly RuleOrigin[];
  references: number;
}

/** Distinct origin lists in use at once; far more than a node has rules. */
export const cookieCountMax = 1 << 20;
/** Cookies let go that can still be looked up, for events that were under way. */
export const formerCookieCountMax = 4096;

/**
 * Small numbers for origin lists, to be carried in policy entries and events. Equal lists share a cookie while anybody holds it.
 * Cookies count upward and come round only after all 2^32 - 1: a late event never names a rule that had nothing to do with it.
 */
export class CookieTable {
  readonly #byKey = new Map<string, Row>();
  readonly #byCookie = new Map<number, Row>();
  /** Let go, oldest first. */
  readonly #former = new Map<number, Row>();
  readonly #countMax: number;
  #next = 1;

  constructor(options: { readonly countMax?: number } = {}) {
    this.#countMax = options.countMax ?? cookieCountMax;
  }

  /** Takes a reference. 0, which names nothing, when the table is full or the list is empty: the verdict holds, its reason is not told. */
  acquire(origins: readonly RuleOrigin[]): number {
    if (origins.length === 0) return 0;
    const key = originsKey(origins);
    let row = this.#byKey.get(key);
    if (row === undefined) {
      if (this.#byKey.size >= this.#countMax) return 0;
      row = { cookie: this.#free(), key, origins, references: 0 };
      this.#byKey.set(key, row);
      this.#byCookie.set(row.cookie, row);
    }
    row.references += 1;
    return row.cookie;
  }

  /** Gives a reference back. */
  release(cookie: number): void {
    const row = this.#byCookie.get(cookie);
    if (row === undefined) return;
    row.references -= 1;
    if (row.references > 0) return;
    this.#byCookie.delete(cookie);
    this.#byKey.delete(row.key);
    this.#former.set(cookie, row);
    if (this.#former.size <= formerCookieCountMax) return;
    for (const oldest of this.#former.keys()) {
      this.#former.delete(oldest);
      break;
    }
  }

  /** Undefined for 0 and for cookies let go long ago. */
  originsOf(cookie: number): readonly RuleOrigin[] | undefined {
    return (this.#byCookie.get(cookie) ?? this.#former.get(cookie))?.origins;
  }

  /** Lists in use. */
  get size(): number {
    return this.#byKey.size;
  }

  #free(): number {
    // Ends: fewer cookies are known than there are numbers.
    while (this.#byCookie.has(this.#next) || this.#former.has(this.#next)) this.#next = following(this.#next);
    const cookie = this.#next;
    this.#next = following(cookie);
    return cookie;
  }
}

function following(cookie: number): number {
  return cookie === 0xffff_ffff ? 1 : cookie + 1;
}
