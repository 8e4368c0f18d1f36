import { mixBits } from "./mix-bits.ts";
import { originHash } from "./origins.ts";
import type { RuleOrigin } from "./rule.ts";

/** An entry names at most this many rules, the first by policy key: enough to explain, bounded for those who carry it. */
export const entryOriginsMax = 32;

export type OriginList = readonly RuleOrigin[];

/** One list; what follows it are the lists that go on with one origin more. */
interface Node {
  readonly parent: Node | undefined;
  readonly last: RuleOrigin;
  readonly size: number;
  /** 64 bits that stand for the content of the list. */
  readonly hashHigh: number;
  readonly hashLow: number;
  list: OriginList | undefined;
  /** Most lists are followed by one other only. */
  next: Node | undefined;
  others: Map<RuleOrigin, Node> | undefined;
}

export type OriginSet = Node;

/**
 * The lists of origins that entries name, each kept once: thousands of entries share one, adding an origin is a look at one field, and
 * equal lists are one object.
 */
export class OriginLists {
  readonly #roots = new Map<RuleOrigin, Node>();
  #size = 0;

  /** Lists kept, those on the way to others included, whether or not anybody uses them. */
  get size(): number {
    return this.#size;
  }

  /** The set with one more, unless it came last already or there are enough. */
  with(set: OriginSet | undefined, origin: RuleOrigin): OriginSet {
    if (set === undefined) {
      let root = this.#roots.get(origin);
      if (root === undefined) {
        root = this.#create(undefined, origin);
        this.#roots.set(origin, root);
      }
      return root;
    }
    if (set.last === origin || set.size >= entryOriginsMax) return set;
    if (set.next === undefined) {
      set.next = this.#create(set, origin);
      return set.next;
    }
    if (set.next.last === origin) return set.next;
    set.others ??= new Map();
    let other = set.others.get(origin);
    if (other === undefined) {
      other = this.#create(set, origin);
      set.others.set(origin, other);
    }
    return other;
  }

  listOf(set: OriginSet): OriginList {
    if (set.list === undefined) {
      const origins: RuleOrigin[] = [];
      for (let node: Node | undefined = set; node !== undefined; node = node.parent) origins.push(node.last);
      set.list = Object.freeze(origins.reverse());
    }
    return set.list;
  }

  /** Forgets every list but these, which stay the objects that they are. */
  keepOnly(lists: Iterable<OriginList>): void {
    this.#roots.clear();
    this.#size = 0;
    for (const list of lists) {
      let node: Node | undefined;
      for (const origin of list) node = this.with(node, origin);
      if (node !== undefined) node.list = list;
    }
  }

  #create(parent: Node | undefined, last: RuleOrigin): Node {
    this.#size += 1;
    const [high, low] = originHash(last);
    return {
      parent,
      last,
      size: parent === undefined ? 1 : parent.size + 1,
      hashHigh: mixBits((parent?.hashHigh ?? 0) ^ high),
      hashLow: mixBits((parent?.hashLow ?? 0) + low),
      list: undefined,
      next: undefined,
      others: undefined,
    };
  }
}
