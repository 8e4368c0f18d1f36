import { localIdentityMax, localIdentityMin } from "@cilium-ts/identity";

/**
 * The numbers that prefixes had in an earlier run. Entries in the kernel still mean them until every endpoint has its policy again: a
 * prefix gets its own back, and one that had none gets a number that stood for no other.
 */
export class FormerIdentities {
  readonly #all = new Map<string, number>();
  readonly #byPrefix = new Map<string, number>();
  #unused = localIdentityMin;

  /** `rows`: the ipcache as the kernel has it. */
  constructor(rows: Iterable<{ readonly prefix: string; readonly identity: number }>) {
    for (const { prefix, identity } of rows) {
      this.#all.set(prefix, identity);
      if (identity < localIdentityMin || identity > localIdentityMax) continue;
      this.#byPrefix.set(prefix, identity);
      this.#unused = Math.max(this.#unused, identity + 1);
    }
  }

  /** Whatever kind it was of. */
  identityOf(prefix: string): number | undefined {
    return this.#all.get(prefix);
  }

  /** Undefined when any number will do. */
  wanted(prefix: string): number | undefined {
    const former = this.#byPrefix.get(prefix);
    if (former !== undefined) return former;
    if (this.#byPrefix.size === 0 || this.#unused > localIdentityMax) return undefined;
    this.#unused += 1;
    return this.#unused - 1;
  }
}
