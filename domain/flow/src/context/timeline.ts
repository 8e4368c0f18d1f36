interface Version<V> {
  readonly sinceNs: number;
  /** Undefined: there was none. */
  readonly value: V | undefined;
}

const endedCountMax = 65_536;

/** A map that remembers: what a key's value was at any moment not yet forgotten. Times per key may not go back. */
export class Timeline<K, V> {
  readonly #versions = new Map<K, Version<V>[]>();
  /** Keys that have more than one version, or none that is current: the only ones worth looking at when forgetting. */
  readonly #aged = new Set<K>();
  #ended = 0;

  /** Keys that had a value at any moment not yet forgotten. */
  get size(): number {
    return this.#versions.size;
  }

  current(key: K): V | undefined {
    return this.#versions.get(key)?.at(-1)?.value;
  }

  /** The value at a moment. Before the first version it is the first: what is known is a better guess than nothing. */
  at(key: K, atNs: number): V | undefined {
    const versions = this.#versions.get(key);
    if (versions === undefined) return undefined;
    for (let index = versions.length - 1; index > 0; index -= 1) {
      const version = versions[index];
      if (version !== undefined && version.sinceNs <= atNs) return version.value;
    }
    return versions[0]?.value;
  }

  set(key: K, value: V, sinceNs: number): void {
    this.#push(key, { sinceNs, value });
  }

  delete(key: K, atNs: number): void {
    if (this.current(key) !== undefined) this.#push(key, { sinceNs: atNs, value: undefined });
  }

  forgetBefore(oldestNs: number): void {
    for (const key of this.#aged) {
      const versions = this.#versions.get(key) ?? [];
      let stale = 0;
      while (stale + 1 < versions.length && (versions[stale + 1]?.sinceNs ?? 0) <= oldestNs) stale += 1;
      if (stale > 0) versions.splice(0, stale);
      this.#ended -= stale;
      if (versions.length > 1) continue;
      this.#aged.delete(key);
      if (versions[0]?.value === undefined) this.#versions.delete(key);
    }
  }

  #push(key: K, version: Version<V>): void {
    const versions = this.#versions.get(key);
    if (versions === undefined) {
      this.#versions.set(key, [version]);
      return;
    }
    versions.push(version);
    this.#aged.add(key);
    this.#ended += 1;
    if (this.#ended > endedCountMax) this.#forgetOldest();
  }

  /** Too much is remembered: the key that aged first loses its past. */
  #forgetOldest(): void {
    for (const key of this.#aged) {
      const versions = this.#versions.get(key) ?? [];
      const stale = versions.length - 1;
      versions.splice(0, stale);
      this.#ended -= stale;
      this.#aged.delete(key);
      if (versions[0]?.value === undefined) this.#versions.delete(key);
      return;
    }
  }
}
