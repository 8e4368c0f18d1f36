/** What an endpoint has heard of a name. Seconds, by the clock of who asks. */
export interface Lookup {
  readonly endpointId: number;
  /** Canonical (`canonicalName`). */
  readonly name: string;
  /** Canonical. */
  readonly address: string;
  readonly lookedUpS: number;
  readonly ttlS: number;
  readonly expiresS: number;
}

/** An endpoint knows an address by other names now. */
export interface NamesChange {
  readonly endpointId: number;
  readonly address: string;
  /** Sorted; empty: it knows it no more. */
  readonly names: readonly string[];
}

/** Of all endpoints together, and of one; one more is not kept. */
const lookupCountsMax = { all: 100_000, one: 10_000 } as const;

type Known = Map<string, Map<string, Lookup>>;

/**
 * Which endpoint has looked up which address by which names: what flows are shown with, and what operators ask for. Policy is told by
 * `LearnedNames`, which does not ask who has heard of a name.
 */
export class EndpointLookups {
  /** By endpoint, address and name. */
  readonly #known = new Map<number, Known>();
  readonly #countsMax: Readonly<Record<"all" | "one", number>>;
  readonly #counts = new Map<number, number>();
  #count = 0;
  #refused = 0;

  constructor(countsMax: Readonly<Record<"all" | "one", number>> = lookupCountsMax) {
    this.#countsMax = countsMax;
  }

  get size(): number {
    return this.#count;
  }

  /** Lookups that were not kept because there were too many. */
  get refused(): number {
    return this.#refused;
  }

  /** Returns what is other than before; a lookup that is only repeated lasts longer, and changes nothing. */
  add(lookups: Iterable<Lookup>): NamesChange[] {
    const changes: NamesChange[] = [];
    for (const lookup of lookups) if (this.#add(lookup)) changes.push(this.#changeOf(lookup));
    return changes;
  }

  /** Forgets what has expired, but for what a connection still uses. */
  expire(nowS: number, isUsed: (address: string) => boolean): NamesChange[] {
    return this.#removeIf((lookup) => lookup.expiresS <= nowS && !isUsed(lookup.address));
  }

  forgetEndpoint(endpointId: number): NamesChange[] {
    return this.#removeIf((lookup) => lookup.endpointId === endpointId);
  }

  forgetNames(matches: (name: string) => boolean): NamesChange[] {
    return this.#removeIf(({ name }) => matches(name));
  }

  *all(): Generator<Lookup> {
    for (const addresses of this.#known.values()) for (const names of addresses.values()) yield* names.values();
  }

  #add(lookup: Lookup): boolean {
    const { endpointId, address, name } = lookup;
    const before = this.#known.get(endpointId)?.get(address)?.get(name);
    const own = this.#counts.get(endpointId) ?? 0;
    if (before === undefined && (this.#count >= this.#countsMax.all || own >= this.#countsMax.one)) {
      this.#refused += 1;
      return false;
    }
    const addresses = mapValue(this.#known, endpointId, () => new Map<string, Map<string, Lookup>>());
    mapValue(addresses, address, () => new Map<string, Lookup>()).set(name, lookup);
    if (before !== undefined) return false;
    this.#count += 1;
    this.#counts.set(endpointId, own + 1);
    return true;
  }

  #removeIf(isGone: (lookup: Lookup) => boolean): NamesChange[] {
    const gone: Lookup[] = [];
    for (const lookup of this.all()) if (isGone(lookup)) gone.push(lookup);
    for (const { endpointId, address, name } of gone) {
      const addresses = this.#known.get(endpointId);
      const names = addresses?.get(address);
      names?.delete(name);
      if (names?.size === 0) addresses?.delete(address);
      if (addresses?.size === 0) this.#known.delete(endpointId);
      this.#count -= 1;
      const left = (this.#counts.get(endpointId) ?? 1) - 1;
      if (left === 0) this.#counts.delete(endpointId);
      else this.#counts.set(endpointId, left);
    }
    return gone.map((lookup) => this.#changeOf(lookup));
  }

  #changeOf({ endpointId, address }: Lookup): NamesChange {
    const names = [...(this.#known.get(endpointId)?.get(address)?.keys() ?? [])].sort();
    return { endpointId, address, names };
  }
}

function mapValue<Key, Value>(map: Map<Key, Value>, key: Key, create: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const created = create();
  map.set(key, created);
  return created;
}
