import { type LocalIdentity, type LocalIdentityAllocator, reservedIdentities, reservedLabels } from "@cilium-ts/identity";
import { Labels } from "@cilium-ts/labels";
import { type AddressBytes, formatPrefix, maskAddress, parseAddress } from "@cilium-ts/net";
import { type LearnedNames, nameLabel } from "@cilium-ts/policy";

export interface NameIdentitiesOptions {
  readonly names: LearnedNames;
  readonly localIdentities: LocalIdentityAllocator;
  /** A prefix that has an identity and is about to lose it does not count. */
  isLeaving(prefix: string): boolean;
  /** The number that an address should have: its own of an earlier run, or one that means nothing in the kernel. */
  wantedIdentity(prefix: string): number | undefined;
  onProblem(message: string): void;
}

/** An address that changes hands once every policy knows its new identity. */
export interface NameMove {
  readonly address: string;
  /** Undefined: nobody means its names any more. */
  readonly identity: LocalIdentity | undefined;
  readonly before: LocalIdentity | undefined;
}

/**
 * Identities of addresses by the patterns that mean their names. Addresses that are meant by the same patterns, in the same prefix,
 * share one, so that a name with many addresses costs one entry.
 */
export class NameIdentities {
  readonly #options: NameIdentitiesOptions;
  readonly #current = new Map<string, LocalIdentity>();
  readonly #touched = new Set<string>();

  constructor(options: NameIdentitiesOptions) {
    this.#options = options;
  }

  touch(addresses: Iterable<string>): void {
    for (const address of addresses) this.#touched.add(address);
  }

  /** Other prefixes have identities: each address may be in another now. */
  touchAll(): void {
    this.touch(this.#current.keys());
  }

  /** Takes the identities that touched addresses need now. */
  takeMoves(): NameMove[] {
    const moves: NameMove[] = [];
    for (const address of this.#touched) {
      const labels = this.#labelsOf(address);
      const before = this.#current.get(address);
      if (labels === undefined ? before === undefined : before?.labels.equals(labels)) continue;
      const allocation = labels && this.#options.localIdentities.acquireLabels(labels, () => this.#wanted(address));
      if (allocation?.ok === false) {
        this.#options.onProblem(allocation.problem);
        continue;
      }
      const identity = allocation?.identity;
      if (identity === undefined) this.#current.delete(address);
      else this.#current.set(address, identity);
      moves.push({ address, identity, before });
    }
    this.#touched.clear();
    return moves;
  }

  /** The address has moved. The identity that nobody has any more, if that was the last. */
  release({ before }: NameMove): LocalIdentity | undefined {
    return before === undefined ? undefined : this.#options.localIdentities.releaseLabels(before.labels);
  }

  #wanted(address: string): number | undefined {
    return this.#options.wantedIdentity(`${address}/${address.includes(":") ? 128 : 32}`);
  }

  #labelsOf(address: string): Labels | undefined {
    const patterns = this.#options.names.patternsOf(address);
    const bytes = parseAddress(address);
    if (patterns.length === 0 || bytes === undefined) return undefined;
    return this.#prefixLabels(bytes).with(patterns.map(nameLabel));
  }

  /** Of the narrowest prefix that is told apart, or of the rest of the world. */
  #prefixLabels(address: AddressBytes): Labels {
    const { localIdentities, isLeaving } = this.#options;
    for (let length = address.length * 8; length > 0; length -= 1) {
      const prefix = formatPrefix({ address: maskAddress(address, length), length });
      const known = localIdentities.ofPrefix(prefix);
      if (known !== undefined && !isLeaving(prefix)) return known.labels;
    }
    const world = address.length === 4 ? reservedIdentities.worldIPv4 : reservedIdentities.worldIPv6;
    return reservedLabels(world) ?? Labels.empty;
  }
}
