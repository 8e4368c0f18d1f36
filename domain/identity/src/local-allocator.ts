import { Labels } from "@cilium-ts/labels";
import { type Family, formatPrefix, parsePrefix } from "@cilium-ts/net";
import { cidrLabels } from "./cidr-labels.ts";
import { localIdentityCountMax, localIdentityMax, localIdentityMin } from "./scope.ts";

export interface LocalIdentity {
  readonly id: number;
  /** Canonical: `10.0.0.0/8`. Empty of an identity for labels alone. */
  readonly prefix: string;
  readonly labels: Labels;
}

export type LocalAllocation =
  | { readonly ok: true; readonly identity: LocalIdentity /** False when the prefix had one already. */; readonly created: boolean }
  | { readonly ok: false; readonly problem: string };

interface Row {
  identity: LocalIdentity;
  /** Labels that the prefix has besides those of its CIDR. */
  readonly marks: Set<string>;
  references: number;
}

/**
 * Numbers for prefixes that policies name, known on this node only. Counted by use: the number is free when the last user lets go.
 * A prefix that comes back gets its old number while no other prefix took it, and a number is not given to another prefix before all
 * others had their turn, so that a stale entry in the kernel seldom means something else.
 */
export class LocalIdentityAllocator {
  readonly #families: readonly Family[];
  readonly #countMax: number;
  /** By prefix, or by the key of the labels. */
  readonly #byText = new Map<string, Row>();
  readonly #byId = new Map<number, Row>();
  /** Last owners of numbers that are free; no larger than the range of numbers. */
  readonly #formerId = new Map<string, number>();
  readonly #formerPrefix = new Map<number, string>();
  #next = localIdentityMin;

  constructor(options: { readonly families: readonly Family[]; readonly countMax?: number }) {
    this.#families = options.families;
    this.#countMax = Math.min(options.countMax ?? localIdentityCountMax, localIdentityCountMax);
  }

  /** Takes a reference. A wanted number (of an earlier run) is given when it is free. */
  acquire(prefixText: string, wantedId?: number): LocalAllocation {
    const prefix = parsePrefix(prefixText);
    if (prefix === undefined) return { ok: false, problem: `${JSON.stringify(prefixText)} is no prefix; write one such as 10.0.0.0/8` };
    const text = formatPrefix(prefix);
    return this.#acquire(text, text, () => cidrLabels(prefix, this.#families), wantedId);
  }

  /** Of addresses that share these labels and no prefix, as those that have one name. Takes a reference. `wantedId` is asked for new ones. */
  acquireLabels(labels: Labels, wantedId: () => number | undefined = () => undefined): LocalAllocation {
    return this.#acquire(labels.key, "", () => labels, this.#byText.has(labels.key) ? undefined : wantedId());
  }

  #acquire(text: string, prefix: string, createLabels: () => Labels, wantedId: number | undefined): LocalAllocation {
    const existing = this.#byText.get(text);
    if (existing !== undefined) {
      existing.references += 1;
      return { ok: true, identity: existing.identity, created: false };
    }
    if (this.#byText.size >= this.#countMax) {
      return {
        ok: false,
        problem: `no local identity for ${text}: all ${this.#countMax} are in use; policies must name fewer distinct CIDRs on this node`,
      };
    }
    const id = this.#chooseId(text, wantedId);
    const row: Row = { identity: Object.freeze({ id, prefix, labels: createLabels() }), marks: new Set(), references: 1 };
    this.#byText.set(text, row);
    this.#byId.set(id, row);
    return { ok: true, identity: row.identity, created: true };
  }

  /** Takes a reference, and gives the prefix a label besides those of its CIDR: whoever uses it sees it. */
  mark(prefixText: string, label: string): LocalAllocation {
    const result = this.acquire(prefixText);
    const row = result.ok ? this.#byText.get(result.identity.prefix) : undefined;
    if (!result.ok || row === undefined) return result;
    row.marks.add(label);
    row.identity = this.#labelled(row);
    return { ...result, identity: row.identity };
  }

  /** Takes the label away and gives the reference back; the identity, when others use it still. */
  unmark(prefixText: string, label: string): LocalIdentity | undefined {
    const identity = this.ofPrefix(prefixText);
    const row = identity === undefined ? undefined : this.#byText.get(identity.prefix);
    if (row === undefined || !row.marks.delete(label)) return identity;
    row.identity = this.#labelled(row);
    return this.release(prefixText) === undefined ? row.identity : undefined;
  }

  #labelled({ identity: { id, prefix: text }, marks }: Row): LocalIdentity {
    const prefix = parsePrefix(text);
    const labels = prefix === undefined ? [] : cidrLabels(prefix, this.#families).format();
    return Object.freeze({ id, prefix: text, labels: Labels.parse([...labels, ...marks]) });
  }

  /** Gives a reference back; returns the identity when that was the last one. */
  release(prefixText: string): LocalIdentity | undefined {
    const prefix = parsePrefix(prefixText);
    return prefix === undefined ? undefined : this.#release(formatPrefix(prefix));
  }

  /** Gives a reference to labels back; returns the identity when that was the last one. */
  releaseLabels(labels: Labels): LocalIdentity | undefined {
    return this.#release(labels.key);
  }

  #release(text: string): LocalIdentity | undefined {
    const row = this.#byText.get(text);
    if (row === undefined) return undefined;
    row.references -= 1;
    if (row.references > 0) return undefined;
    const { id } = row.identity;
    this.#byText.delete(text);
    this.#byId.delete(id);
    this.#formerId.set(text, id);
    this.#formerPrefix.set(id, text);
    return row.identity;
  }

  get(id: number): LocalIdentity | undefined {
    return this.#byId.get(id)?.identity;
  }

  ofPrefix(prefixText: string): LocalIdentity | undefined {
    const prefix = parsePrefix(prefixText);
    return prefix === undefined ? undefined : this.#byText.get(formatPrefix(prefix))?.identity;
  }

  get size(): number {
    return this.#byText.size;
  }

  *identities(): IterableIterator<LocalIdentity> {
    for (const row of this.#byText.values()) yield row.identity;
  }

  #chooseId(prefix: string, wantedId: number | undefined): number {
    const candidates = [wantedId, this.#formerId.get(prefix)];
    for (const id of candidates) if (id !== undefined && isLocal(id) && !this.#byId.has(id)) return this.#take(id);
    // Ends: fewer numbers are in use than the range has.
    while (this.#byId.has(this.#next)) this.#next = following(this.#next);
    const id = this.#take(this.#next);
    this.#next = following(id);
    return id;
  }

  #take(id: number): number {
    const former = this.#formerPrefix.get(id);
    if (former !== undefined) {
      this.#formerPrefix.delete(id);
      this.#formerId.delete(former);
    }
    return id;
  }
}

function isLocal(id: number): boolean {
  return Number.isInteger(id) && id >= localIdentityMin && id <= localIdentityMax;
}

function following(id: number): number {
  return id === localIdentityMax ? localIdentityMin : id + 1;
}
