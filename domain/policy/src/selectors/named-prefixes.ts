import { formatPrefix, type Prefix } from "@cilium-ts/net";

/** Prefixes that selectors name, counted, and which of them came and went since somebody asked. */
export class NamedPrefixes {
  readonly #counts = new Map<string, number>();
  /** Named (true) or unnamed (false) since the changes were taken. */
  readonly #changes = new Map<string, boolean>();

  /** The whole world has an identity already: it needs none of its own. */
  add(prefix: Prefix): void {
    if (prefix.length > 0) this.#count(formatPrefix(prefix), 1);
  }

  remove(prefix: Prefix): void {
    if (prefix.length > 0) this.#count(formatPrefix(prefix), -1);
  }

  all(): ReadonlySet<string> {
    return new Set(this.#counts.keys());
  }

  takeChanges(): { added: string[]; removed: string[] } {
    const changes = [...this.#changes];
    this.#changes.clear();
    const of = (named: boolean): string[] => changes.filter(([, now]) => now === named).map(([prefix]) => prefix);
    return { added: of(true), removed: of(false) };
  }

  #count(key: string, difference: number): void {
    const before = this.#counts.get(key) ?? 0;
    const count = before + difference;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
    if ((before === 0) === (count === 0)) return;
    // There and back again is no change.
    if (!this.#changes.delete(key)) this.#changes.set(key, count > 0);
  }
}
