import {
  addressFromBigInt,
  addressToBigInt,
  type Family,
  familyOf,
  formatAddress,
  formatPrefix,
  type Prefix,
  parseAddress,
  prefixContainsAddress,
} from "@cilium-ts/net";

/** An address and whom it belongs to. */
export interface Allocation {
  /** Canonical text. */
  readonly address: string;
  /** `namespace/pod`, or the name of what the node itself uses it for. */
  readonly owner: string;
  /** Names the claim that must be made before the deadline; undefined once claimed, or when none was asked. */
  readonly expirationId?: string;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs?: number;
}

export type AllocationResult =
  | { readonly ok: true; readonly allocation: Allocation }
  | { readonly ok: false; readonly reason: "full" | "in-use" | "reserved" | "outside" | "invalid"; readonly problem: string };

/** What an allocation must be claimed by, or it comes back. */
export interface Expiration {
  readonly delayMs: number;
}

export interface AddressPoolOptions {
  /** Addresses of this node: `10.0.1.0/24`, `fd00::100/120`. */
  readonly prefix: Prefix;
  /** Never given out: the router and whatever else the node answers for. Others than those in the prefix are ignored. */
  readonly reserved?: readonly string[];
  /** Milliseconds since the epoch. */
  readonly nowMs: () => number;
  /** A name that no other allocation has (a UUID). */
  readonly createId: () => string;
}

/**
 * Addresses of one family on one node. The next address is the one after the last that was given, round and round, so that an address
 * just let go is the last to be given again: connections and neighbour entries of its former owner have time to end.
 */
export class AddressPool {
  readonly prefix: Prefix;
  readonly family: Family;
  readonly #base: bigint;
  /** Positions in the prefix that may be given: first and last, both included. */
  readonly #first: bigint;
  readonly #last: bigint;
  readonly #reserved = new Set<string>();
  readonly #allocations = new Map<string, Allocation>();
  readonly #nowMs: () => number;
  readonly #createId: () => string;
  #next: bigint;

  constructor(options: AddressPoolOptions) {
    const { prefix } = options;
    this.prefix = prefix;
    this.family = familyOf(prefix.address);
    this.#nowMs = options.nowMs;
    this.#createId = options.createId;
    const hostBits = BigInt(prefix.address.length * 8 - prefix.length);
    this.#base = addressToBigInt(prefix.address);
    // The first address names the network (IPv6: any router of it), the last is IPv4's broadcast. Two addresses or one have neither.
    const large = hostBits > 1n;
    this.#first = large ? 1n : 0n;
    this.#last = (1n << hostBits) - (large && this.family === 4 ? 2n : 1n);
    this.#next = this.#first;
    for (const text of options.reserved ?? []) {
      const position = this.#positionOf(text);
      if (position !== undefined && position >= this.#first && position <= this.#last) this.#reserved.add(this.#addressAt(position));
    }
  }

  /** How many addresses can be given in all. */
  get capacity(): bigint {
    return this.#last - this.#first + 1n - BigInt(this.#reserved.size);
  }

  get size(): number {
    return this.#allocations.size;
  }

  /** The next free address. */
  allocateNext(owner: string, expiration?: Expiration): AllocationResult {
    if (BigInt(this.#allocations.size) >= this.capacity) return this.#full(owner);
    // Ends: at most as many positions are taken as there are allocations and reserved addresses.
    for (;;) {
      const address = this.#addressAt(this.#next);
      this.#next = this.#next === this.#last ? this.#first : this.#next + 1n;
      if (!this.#reserved.has(address) && !this.#allocations.has(address))
        return { ok: true, allocation: this.#take(address, owner, expiration) };
    }
  }

  /** This very address, for one that comes back or was asked for. */
  allocate(addressText: string, owner: string, expiration?: Expiration): AllocationResult {
    const bytes = parseAddress(addressText);
    if (bytes === undefined) return refuse("invalid", `${JSON.stringify(addressText)} is no address`);
    const address = formatAddress(bytes);
    const position = this.#positionOf(address);
    if (position === undefined)
      return refuse("outside", `${address} does not lie in the pod CIDR ${formatPrefix(this.prefix)} of this node`);
    if (position < this.#first || position > this.#last || this.#reserved.has(address)) {
      return refuse("reserved", `${address} is reserved in ${formatPrefix(this.prefix)} and never given to pods; ask for another`);
    }
    const holder = this.#allocations.get(address);
    if (holder !== undefined)
      return refuse("in-use", `${address} belongs to ${holder.owner} already; release it first, or ask for another`);
    return { ok: true, allocation: this.#take(address, owner, expiration) };
  }

  /** False when the address was free already: releasing twice does no harm. */
  release(addressText: string): boolean {
    const bytes = parseAddress(addressText);
    return bytes !== undefined && this.#allocations.delete(formatAddress(bytes));
  }

  /** Keeps an address beyond its deadline. False when it is no longer held under this name. */
  claim(addressText: string, expirationId: string): boolean {
    const bytes = parseAddress(addressText);
    const allocation = bytes === undefined ? undefined : this.#allocations.get(formatAddress(bytes));
    if (allocation === undefined || allocation.expirationId !== expirationId) return false;
    this.#allocations.set(allocation.address, Object.freeze({ address: allocation.address, owner: allocation.owner }));
    return true;
  }

  /** Takes back what was not claimed in time, and returns it. */
  expire(): Allocation[] {
    const nowMs = this.#nowMs();
    const expired = [...this.#allocations.values()].filter(({ expiresAtMs }) => expiresAtMs !== undefined && expiresAtMs <= nowMs);
    for (const { address } of expired) this.#allocations.delete(address);
    return expired;
  }

  get(addressText: string): Allocation | undefined {
    const bytes = parseAddress(addressText);
    return bytes === undefined ? undefined : this.#allocations.get(formatAddress(bytes));
  }

  /** What is held now; `allocate` puts each back into a new pool. */
  snapshot(): readonly Allocation[] {
    return [...this.#allocations.values()];
  }

  #take(address: string, owner: string, expiration: Expiration | undefined): Allocation {
    const allocation: Allocation = Object.freeze(
      expiration === undefined
        ? { address, owner }
        : { address, owner, expirationId: this.#createId(), expiresAtMs: this.#nowMs() + expiration.delayMs },
    );
    this.#allocations.set(address, allocation);
    return allocation;
  }

  #full(owner: string): AllocationResult {
    const counts = `${this.#allocations.size} of ${this.capacity} addresses in use, ${this.#reserved.size} reserved`;
    return refuse(
      "full",
      `no address for ${owner}: pod CIDR ${formatPrefix(this.prefix)} is full (${counts}); delete pods on this node or give it a larger pod CIDR`,
    );
  }

  #positionOf(addressText: string): bigint | undefined {
    const bytes = parseAddress(addressText);
    if (bytes === undefined || !prefixContainsAddress(this.prefix, bytes)) return undefined;
    return addressToBigInt(bytes) - this.#base;
  }

  #addressAt(position: bigint): string {
    return formatAddress(addressFromBigInt(this.#base + position, this.family));
  }
}

function refuse(reason: "full" | "in-use" | "reserved" | "outside" | "invalid", problem: string): AllocationResult {
  return { ok: false, reason, problem };
}
