import { familyOf, formatPrefix, maskAddress, type Prefix, prefixContains } from "@cilium-ts/net";

interface Holding {
  readonly owner: string;
  readonly prefix: Prefix;
}

/**
 * Who holds which prefix, with the one question that matters: who holds any part of this one? No two held prefixes overlap.
 *
 * Holdings are kept by family and length. One that contains the asked prefix is a look-up for each shorter length in use; those
 * inside it are searched among the longer ones. Clusters have one or two lengths a family, so both are quick.
 */
export class PrefixOwners {
  /** By family and length, then by the prefix's text. */
  readonly #byLength = new Map<string, { readonly length: number; readonly holdings: Map<string, Holding> }>();

  /** Someone who holds the prefix, a part of it, or more than it. */
  holderOf(prefix: Prefix): Holding | undefined {
    const family = `${familyOf(prefix.address)}/`;
    for (const [key, { length, holdings }] of this.#byLength) {
      if (!key.startsWith(family)) continue;
      const found =
        length > prefix.length
          ? findInside(holdings, prefix)
          : holdings.get(formatPrefix({ address: maskAddress(prefix.address, length), length }));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The prefix must be free. */
  hold(prefix: Prefix, owner: string): void {
    const key = keyOf(prefix);
    const entry = this.#byLength.get(key) ?? { length: prefix.length, holdings: new Map<string, Holding>() };
    this.#byLength.set(key, entry);
    entry.holdings.set(formatPrefix(prefix), { owner, prefix });
  }

  release(prefix: Prefix): void {
    const key = keyOf(prefix);
    const entry = this.#byLength.get(key);
    entry?.holdings.delete(formatPrefix(prefix));
    if (entry?.holdings.size === 0) this.#byLength.delete(key);
  }
}

function keyOf(prefix: Prefix): string {
  return `${familyOf(prefix.address)}/${prefix.length}`;
}

function findInside(holdings: ReadonlyMap<string, Holding>, prefix: Prefix): Holding | undefined {
  for (const holding of holdings.values()) if (prefixContains(prefix, holding.prefix)) return holding;
  return undefined;
}
