import type { RuleOrigin } from "./rule.ts";

/** An entry names at most this many rules, the first by policy key: enough to explain, bounded for those who carry it. */
export const entryOriginsMax = 32;

export type OriginList = readonly RuleOrigin[];

/**
 * The origins of an entry under construction: those of the parent and one more. Entries that got the same origins in the same order
 * stand at the same node, so that thousands of entries share one list, and adding an origin to each of them is a look at one field.
 */
export class OriginSet {
  readonly #parent: OriginSet | undefined;
  /** Of one origin. */
  readonly #last: OriginList;
  readonly #size: number;
  /** Most sets are followed by one other only. */
  #next: OriginSet | undefined;
  #others: Map<OriginList, OriginSet> | undefined;
  #list: OriginList | undefined;

  constructor(last: OriginList, parent?: OriginSet) {
    this.#parent = parent;
    this.#last = last;
    this.#size = parent === undefined ? 1 : parent.#size + 1;
  }

  /** This and one more, unless it came last already or there are enough. */
  with(origin: OriginList): OriginSet {
    if (this.#last === origin || this.#size >= entryOriginsMax) return this;
    if (this.#next === undefined) {
      this.#next = new OriginSet(origin, this);
      return this.#next;
    }
    if (this.#next.#last === origin) return this.#next;
    this.#others ??= new Map();
    let other = this.#others.get(origin);
    if (other === undefined) {
      other = new OriginSet(origin, this);
      this.#others.set(origin, other);
    }
    return other;
  }

  get list(): OriginList {
    if (this.#list === undefined) {
      const origins: RuleOrigin[] = [];
      for (let set: OriginSet | undefined = this; set !== undefined; set = set.#parent) origins.push(...set.#last);
      this.#list = this.#size === 1 ? this.#last : Object.freeze(origins.reverse());
    }
    return this.#list;
  }
}
