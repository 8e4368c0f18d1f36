import { matchesPattern } from "./name-pattern.ts";

export interface LearnedNamesOptions {
  /** Names at once; one more is not learned, unless rules mean it and not all of the others. */
  readonly nameCountMax?: number;
  /** Addresses of one name; of more, those that would go first go now. */
  readonly addressCountMax?: number;
  /** Addresses that are kept only because a connection still uses them. */
  readonly keptCountMax?: number;
  /** A shorter time to live is this long. */
  readonly ttlSMin?: number;
}

export const learnedNamesDefaults = { nameCountMax: 50_000, addressCountMax: 1_000, keptCountMax: 10_000, ttlSMin: 0 } as const;

/** One thing learned: until when the address is the name's. */
export interface LearnedName {
  /** Canonical (`canonicalName`). */
  readonly name: string;
  /** Canonical. */
  readonly address: string;
  /** Seconds, by the clock of who asks. */
  readonly expiresS: number;
}

interface KnownName {
  readonly addresses: Map<string, number>;
  /** Of those that are wanted. */
  readonly patterns: Set<string>;
}

const nothing: ReadonlySet<string> = new Set();

/**
 * Which addresses have which names, as somebody has heard from the name servers, and which patterns of rules mean them. Every change
 * returns the addresses that other patterns mean now.
 */
export class LearnedNames {
  readonly #limits: Required<LearnedNamesOptions>;
  readonly #names = new Map<string, KnownName>();
  readonly #namesOf = new Map<string, Set<string>>();
  readonly #patterns = new Set<string>();
  /** Names that no pattern means, the oldest first: kept for rules that are to come, and the first to go. */
  readonly #unmeant = new Set<string>();
  #refused = 0;

  constructor(options: LearnedNamesOptions = {}) {
    this.#limits = { ...learnedNamesDefaults, ...options };
  }

  /** Names and addresses that were not learned, or not kept, because there were too many. */
  get refused(): number {
    return this.#refused;
  }

  get size(): number {
    return this.#names.size;
  }

  get addressCount(): number {
    return this.#namesOf.size;
  }

  /** That rules have. */
  get patterns(): ReadonlySet<string> {
    return this.#patterns;
  }

  /** Patterns that mean the address, sorted. */
  patternsOf(address: string): string[] {
    const patterns = new Set<string>();
    for (const name of this.#namesOf.get(address) ?? nothing) {
      for (const pattern of this.#names.get(name)?.patterns ?? nothing) patterns.add(pattern);
    }
    return [...patterns].sort();
  }

  /** Addresses that a name has only as long as a connection uses them. */
  expired(nowS: number): ReadonlySet<string> {
    const late = new Set<string>();
    for (const { addresses } of this.#names.values()) for (const [address, expiresS] of addresses) if (expiresS <= nowS) late.add(address);
    return late;
  }

  addPattern(pattern: string): ReadonlySet<string> {
    if (this.#patterns.has(pattern)) return nothing;
    this.#patterns.add(pattern);
    const changed = new Set<string>();
    for (const [name, { addresses, patterns }] of this.#names) {
      if (!matchesPattern(pattern, name)) continue;
      patterns.add(pattern);
      this.#unmeant.delete(name);
      for (const address of addresses.keys()) changed.add(address);
    }
    return changed;
  }

  removePattern(pattern: string): ReadonlySet<string> {
    this.#patterns.delete(pattern);
    const changed = new Set<string>();
    for (const [name, { addresses, patterns }] of this.#names) {
      if (!patterns.delete(pattern)) continue;
      if (patterns.size === 0) this.#unmeant.add(name);
      for (const address of addresses.keys()) changed.add(address);
    }
    return changed;
  }

  /** An answer of a name server. What the name had before stays its own until it expires. */
  learn(name: string, addresses: readonly string[], ttlS: number, nowS: number): ReadonlySet<string> {
    let known = this.#names.get(name);
    if (known === undefined) {
      const patterns = new Set([...this.#patterns].filter((pattern) => matchesPattern(pattern, name)));
      if (!this.#makeRoom(patterns.size > 0)) {
        this.#refused += 1;
        return nothing;
      }
      known = { addresses: new Map(), patterns };
      this.#names.set(name, known);
      if (patterns.size === 0) this.#unmeant.add(name);
    }
    const expiresS = nowS + Math.max(ttlS, this.#limits.ttlSMin);
    const changed = new Set<string>();
    for (const address of addresses) {
      const before = known.addresses.get(address);
      known.addresses.set(address, Math.max(before ?? 0, expiresS));
      if (before !== undefined) continue;
      this.#link(name, address);
      if (known.patterns.size > 0) changed.add(address);
    }
    for (const address of this.#surplusOf(known)) {
      this.#refused += 1;
      this.#forget(name, known, address);
      if (!changed.delete(address) && known.patterns.size > 0) changed.add(address);
    }
    if (known.addresses.size === 0) this.#drop(name);
    return changed;
  }

  /** Forgets what has expired, but for addresses that a connection still uses: as many as there is room for. */
  expire(nowS: number, isUsed: (address: string) => boolean): ReadonlySet<string> {
    const changed = new Set<string>();
    let kept = 0;
    for (const [name, known] of this.#names) {
      for (const [address, expiresS] of known.addresses) {
        if (expiresS > nowS) continue;
        if (isUsed(address)) {
          kept += 1;
          if (kept <= this.#limits.keptCountMax) continue;
          this.#refused += 1;
        }
        this.#forget(name, known, address);
        if (known.patterns.size > 0) changed.add(address);
      }
      if (known.addresses.size === 0) this.#drop(name);
    }
    return changed;
  }

  /** Forgets names, whatever their time and their use. */
  forget(matches: (name: string) => boolean): ReadonlySet<string> {
    const changed = new Set<string>();
    for (const [name, known] of this.#names) {
      if (!matches(name)) continue;
      for (const address of known.addresses.keys()) {
        this.#forget(name, known, address);
        if (known.patterns.size > 0) changed.add(address);
      }
      this.#drop(name);
    }
    return changed;
  }

  /** For a restart. */
  *entries(): Generator<LearnedName> {
    for (const [name, { addresses }] of this.#names) for (const [address, expiresS] of addresses) yield { name, address, expiresS };
  }

  /** What an earlier run had learned. It lasts `graceS` at least, so that nothing is cut before names are asked for again. */
  restore(entries: Iterable<LearnedName>, graceS: number, nowS: number): ReadonlySet<string> {
    const changed = new Set<string>();
    for (const { name, address, expiresS } of entries) {
      for (const one of this.learn(name, [address], Math.max(expiresS - nowS, graceS), nowS)) changed.add(one);
    }
    return changed;
  }

  /** Who asks for names that nobody means takes no room from those that rules mean. */
  #makeRoom(isMeant: boolean): boolean {
    if (this.#names.size < this.#limits.nameCountMax) return true;
    const [oldest] = isMeant ? this.#unmeant : [];
    const known = oldest === undefined ? undefined : this.#names.get(oldest);
    if (oldest === undefined || known === undefined) return false;
    this.#refused += 1;
    for (const address of [...known.addresses.keys()]) this.#forget(oldest, known, address);
    this.#drop(oldest);
    return true;
  }

  #drop(name: string): void {
    this.#names.delete(name);
    this.#unmeant.delete(name);
  }

  #link(name: string, address: string): void {
    const names = this.#namesOf.get(address);
    if (names === undefined) this.#namesOf.set(address, new Set([name]));
    else names.add(name);
  }

  #forget(name: string, known: KnownName, address: string): void {
    known.addresses.delete(address);
    const names = this.#namesOf.get(address);
    names?.delete(name);
    if (names?.size === 0) this.#namesOf.delete(address);
  }

  #surplusOf({ addresses }: KnownName): string[] {
    const surplus = addresses.size - this.#limits.addressCountMax;
    if (surplus <= 0) return [];
    const inOrder = [...addresses].sort(([, one], [, other]) => one - other);
    return inOrder.slice(0, surplus).map(([address]) => address);
  }
}
