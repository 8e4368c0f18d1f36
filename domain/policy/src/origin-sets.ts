import type { RuleOrigin } from "./rule.ts";

/** An entry names at most this many rules, the first by policy key: enough to explain, bounded for those who carry it. */
export const entryOriginsMax = 32;

export type OriginList = readonly RuleOrigin[];

/** Unions of origin lists, each made once: thousands of entries that come from the same rules share one list. */
export class OriginSets {
  readonly #unions = new Map<OriginList, Map<OriginList, OriginList>>();

  union(left: OriginList, right: OriginList): OriginList {
    if (left === right || left.length >= entryOriginsMax) return left;
    let unions = this.#unions.get(left);
    if (unions === undefined) {
      unions = new Map();
      this.#unions.set(left, unions);
    }
    let union = unions.get(right);
    if (union === undefined) {
      const added = right.filter((origin) => !left.includes(origin));
      union = added.length === 0 ? left : Object.freeze([...left, ...added].slice(0, entryOriginsMax));
      unions.set(right, union);
    }
    return union;
  }
}
