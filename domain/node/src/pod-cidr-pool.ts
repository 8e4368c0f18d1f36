import { addressFromBigInt, addressToBigInt, type Family, familyOf, formatPrefix, type Prefix } from "@cilium-ts/net";

/**
 * The pod CIDRs of equal size that one prefix can be cut into, and which of them are taken. The next one given is the one after the
 * last, round and round, so that a pod CIDR of a node that left is the last to be given to another.
 *
 * What is taken need not be of the pool's own size: the size may have been changed since, or somebody chose by hand.
 */
export class PodCIDRPool {
  readonly prefix: Prefix;
  /** Bits of each pod CIDR. */
  readonly maskSize: number;
  readonly #family: Family;
  readonly #base: bigint;
  /** Host bits of each pod CIDR. */
  readonly #shift: bigint;
  /** How many holders each taken position has: several when they are smaller than a pod CIDR. */
  readonly #taken = new Map<bigint, number>();
  /** Holders larger than a pod CIDR, as the first and last position that they cover. */
  readonly #wide = new Map<string, { readonly first: bigint; readonly last: bigint }>();
  #next = 0n;

  /** The mask size lies between the prefix's length and the bits of an address. */
  constructor(prefix: Prefix, maskSize: number) {
    const bits = prefix.address.length * 8;
    if (maskSize < prefix.length || maskSize > bits)
      throw new RangeError(
        `${formatPrefix(prefix)} cannot be cut into pod CIDRs of ${maskSize} bits: from ${prefix.length} to ${bits} can be`,
      );
    this.prefix = prefix;
    this.maskSize = maskSize;
    this.#family = familyOf(prefix.address);
    this.#base = addressToBigInt(prefix.address);
    this.#shift = BigInt(bits - maskSize);
  }

  /** How many pod CIDRs there are in all. */
  get capacity(): bigint {
    return 1n << BigInt(this.maskSize - this.prefix.length);
  }

  /** How many of them cannot be given. */
  get used(): bigint {
    let used = BigInt(this.#taken.size);
    for (const { first, last } of this.#wide.values()) used += last - first + 1n;
    return used;
  }

  /** A free pod CIDR, which is taken from now on; undefined when there is none. */
  allocate(): Prefix | undefined {
    const capacity = this.capacity;
    if (this.used >= capacity) return undefined;
    // Ends: each round passes a taken position or a wide holder, and all of them are passed at most twice.
    for (let rounds = 2 * (this.#taken.size + this.#wide.size) + 2; rounds > 0; rounds -= 1) {
      const position = this.#next;
      const wide = this.#wideAt(position);
      this.#next = ((wide?.last ?? position) + 1n) % capacity;
      if (wide !== undefined || this.#taken.has(position)) continue;
      this.#taken.set(position, 1);
      return { address: addressFromBigInt(this.#base + (position << this.#shift), this.#family), length: this.maskSize };
    }
    return undefined;
  }

  /** Nothing when it lies outside. No two taken prefixes overlap, and each is taken once. */
  take(prefix: Prefix): void {
    const range = this.#rangeOf(prefix);
    if (range === undefined) return;
    if (range.first === range.last) this.#taken.set(range.first, (this.#taken.get(range.first) ?? 0) + 1);
    else this.#wide.set(formatPrefix(prefix), range);
  }

  /** Only what was taken, once for each time. */
  release(prefix: Prefix): void {
    const range = this.#rangeOf(prefix);
    if (range === undefined) return;
    if (range.first !== range.last) {
      this.#wide.delete(formatPrefix(prefix));
      return;
    }
    const holders = this.#taken.get(range.first) ?? 0;
    if (holders > 1) this.#taken.set(range.first, holders - 1);
    else this.#taken.delete(range.first);
  }

  #wideAt(position: bigint): { readonly first: bigint; readonly last: bigint } | undefined {
    for (const range of this.#wide.values()) if (position >= range.first && position <= range.last) return range;
    return undefined;
  }

  /** The positions that the prefix covers a part of; undefined when it lies outside. */
  #rangeOf(prefix: Prefix): { first: bigint; last: bigint } | undefined {
    if (familyOf(prefix.address) !== this.#family) return undefined;
    const start = addressToBigInt(prefix.address) - this.#base;
    const end = start + (1n << BigInt(prefix.address.length * 8 - prefix.length)) - 1n;
    const lastPosition = this.capacity - 1n;
    const first = start >> this.#shift;
    const last = end >> this.#shift;
    if (last < 0n || first > lastPosition) return undefined;
    return { first: first < 0n ? 0n : first, last: last > lastPosition ? lastPosition : last };
  }
}
