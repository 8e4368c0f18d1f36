import { formatPrefix, maskAddress, type Prefix } from "@cilium-ts/net";

/** Items that wait at prefixes, found by whatever lies inside. */
export class PrefixIndex<T> {
  readonly #items = new Map<string, Set<T>>();
  /** How many items wait at a length, for IPv4 and IPv6: only these lengths are looked at. */
  readonly #lengths = { 4: new Map<number, number>(), 16: new Map<number, number>() };

  add(prefix: Prefix, item: T): void {
    const key = formatPrefix(prefix);
    const items = this.#items.get(key);
    if (items === undefined) this.#items.set(key, new Set([item]));
    else items.add(item);
    this.#count(prefix, 1);
  }

  remove(prefix: Prefix, item: T): void {
    const key = formatPrefix(prefix);
    const items = this.#items.get(key);
    if (items?.delete(item) !== true) return;
    if (items.size === 0) this.#items.delete(key);
    this.#count(prefix, -1);
  }

  /** Items whose prefix contains this one, or is it. */
  *around(prefix: Prefix): IterableIterator<T> {
    for (const length of this.#lengthsOf(prefix).keys()) {
      if (length > prefix.length) continue;
      const items = this.#items.get(formatPrefix({ address: maskAddress(prefix.address, length), length }));
      if (items !== undefined) yield* items;
    }
  }

  #lengthsOf(prefix: Prefix): Map<number, number> {
    return this.#lengths[prefix.address.length === 4 ? 4 : 16];
  }

  #count(prefix: Prefix, difference: number): void {
    const lengths = this.#lengthsOf(prefix);
    const count = (lengths.get(prefix.length) ?? 0) + difference;
    if (count === 0) lengths.delete(prefix.length);
    else lengths.set(prefix.length, count);
  }
}
