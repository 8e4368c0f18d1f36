import { originsKey } from "../rules/origins.ts";
import type { RuleOrigin } from "../rules/rule.ts";

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
 * Numbers for origin lists, to be carried in policy entries and events. Equal lists share a cookie. It follows from the list itself, so
 * after a restart equal policies are equal in the kernel, too, whatever the order in which they came. Two lists that want the same
 * number, of 2^32 - 1, are told apart as long as one of them is known here: a late event never names a rule that had nothing to do with it.
 */
export class CookieTable {
  readonly #byKey = new Map<string, Row>();
  readonly #byCookie = new Map<number, Row>();
  /** Let go, oldest first. */
  readonly #former = new Map<number, Row>();
  readonly #countMax: number;
  readonly #wish: (key: string) => number;

  /** `wish`: the number that a list gets when it is free, from 1 to 2^32 - 1. */
  constructor(options: { readonly countMax?: number; readonly wish?: (key: string) => number } = {}) {
    this.#countMax = options.countMax ?? cookieCountMax;
    this.#wish = options.wish ?? hashOf;
  }

  /** Takes a reference. 0, which names nothing, when the table is full or the list is empty: the verdict holds, its reason is not told. */
  acquire(origins: readonly RuleOrigin[]): number {
    if (origins.length === 0) return 0;
    const key = originsKey(origins);
    let row = this.#byKey.get(key);
    if (row === undefined) {
      if (this.#byKey.size >= this.#countMax) return 0;
      row = { cookie: this.#choose(key), key, origins, references: 0 };
      this.#former.delete(row.cookie);
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

  /** The number that is wished for, or the next that does not mean another list. Ends: fewer are known than there are numbers. */
  #choose(key: string): number {
    let cookie = this.#wish(key);
    for (;;) {
      const known = this.#byCookie.get(cookie) ?? this.#former.get(cookie);
      if (known === undefined || known.key === key) return cookie;
      cookie = following(cookie);
    }
  }
}

function following(cookie: number): number {
  return cookie === 0xffff_ffff ? 1 : cookie + 1;
}

/** 32-bit FNV-1a over the text's UTF-16 units; 0, which names nothing, becomes 1. */
function hashOf(text: string): number {
  let hash = 0x811c_9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x0100_0193);
  return hash >>> 0 || 1;
}
