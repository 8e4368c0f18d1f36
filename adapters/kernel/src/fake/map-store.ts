import { errnos } from "../failure.ts";
import type { MapSpec } from "../kernel.ts";

export interface Entry {
  readonly key: Uint8Array;
  value: Uint8Array;
}

export type UpdateMode = "any" | "absent" | "present";

/** What is in a map. Keys and values have the right size; results are copies; update and delete return an errno, 0 for success. */
export interface MapStore {
  lookup(key: Uint8Array): Uint8Array | undefined;
  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode): number;
  delete(key: Uint8Array): number;
  entries(): Iterable<Entry>;
}

export function createMapStore(spec: MapSpec): MapStore {
  switch (spec.type) {
    case "array":
    case "percpu_array":
      return new ArrayStore(spec.maxEntries, spec.valueSizeBytes);
    case "array_of_maps":
    case "prog_array":
      return new SlotStore(spec.maxEntries);
    case "lpm_trie":
      return new TrieStore(spec.maxEntries, spec.keySizeBytes);
    case "lru_hash":
      return new HashStore(spec.maxEntries, true);
    case "hash":
    case "percpu_hash":
    case "hash_of_maps":
      return new HashStore(spec.maxEntries, false);
    case "ringbuf":
      return new HashStore(0, false); // Records are in the ring; as a map it has none.
  }
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
}

function indexOf(key: Uint8Array): number {
  return new DataView(key.buffer, key.byteOffset, key.length).getUint32(0, true);
}

/** Whether the mode forbids an update; 0: it does not. */
function forbidden(mode: UpdateMode, exists: boolean): number {
  if (mode === "absent" && exists) return errnos.EEXIST;
  return mode === "present" && !exists ? errnos.ENOENT : 0;
}

class HashStore implements MapStore {
  readonly #rows = new Map<string, Entry>();
  readonly #maxEntries: number;
  readonly #evicts: boolean;

  constructor(maxEntries: number, evicts: boolean) {
    this.#maxEntries = maxEntries;
    this.#evicts = evicts;
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(textOf(key))?.value.slice();
  }

  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode): number {
    const text = textOf(key);
    const exists = this.#rows.has(text);
    const errno = forbidden(mode, exists);
    if (errno !== 0) return errno;
    if (!exists && this.#rows.size >= this.#maxEntries) {
      const [oldest] = this.#rows.keys();
      if (!this.#evicts || oldest === undefined) return errnos.E2BIG;
      this.#rows.delete(oldest);
    }
    if (this.#evicts) this.#rows.delete(text); // The order of a Map is then the order of use. A user's lookup is no use.
    this.#rows.set(text, { key: key.slice(), value: value.slice() });
    return 0;
  }

  delete(key: Uint8Array): number {
    return this.#rows.delete(textOf(key)) ? 0 : errnos.ENOENT;
  }

  entries(): Iterable<Entry> {
    return this.#rows.values();
  }
}

/** Every index is there from the beginning, with zeroes. */
class ArrayStore implements MapStore {
  readonly #rows: Entry[];

  constructor(maxEntries: number, valueSizeBytes: number) {
    this.#rows = Array.from({ length: maxEntries }, (_, index) => ({
      key: new Uint8Array(Uint32Array.of(index).buffer),
      value: new Uint8Array(valueSizeBytes),
    }));
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    return this.#rows[indexOf(key)]?.value.slice();
  }

  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode): number {
    const row = this.#rows[indexOf(key)];
    if (row === undefined) return errnos.E2BIG;
    if (mode === "absent") return errnos.EEXIST;
    row.value = value.slice();
    return 0;
  }

  delete(): number {
    return errnos.EINVAL;
  }

  entries(): Iterable<Entry> {
    return this.#rows;
  }
}

/** An array whose places are empty until they are filled: of maps, of programs. */
class SlotStore implements MapStore {
  readonly #rows = new Map<number, Entry>();
  readonly #maxEntries: number;

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(indexOf(key))?.value.slice();
  }

  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode): number {
    if (indexOf(key) >= this.#maxEntries) return errnos.E2BIG;
    if (mode !== "any") return errnos.EINVAL;
    this.#rows.set(indexOf(key), { key: key.slice(), value: value.slice() });
    return 0;
  }

  delete(key: Uint8Array): number {
    if (indexOf(key) >= this.#maxEntries) return errnos.E2BIG;
    return this.#rows.delete(indexOf(key)) ? 0 : errnos.ENOENT;
  }

  entries(): Iterable<Entry> {
    return this.#rows.values();
  }
}

/** Keys are a prefix length in bits (u32, host order), then that many bits that count, then bits that do not. */
class TrieStore implements MapStore {
  readonly #rows = new Map<string, Entry>();
  readonly #maxEntries: number;
  readonly #bitsMax: number;

  constructor(maxEntries: number, keySizeBytes: number) {
    this.#maxEntries = maxEntries;
    this.#bitsMax = (keySizeBytes - 4) * 8;
  }

  /** The longest prefix, not longer than the key's own, that agrees with it. */
  lookup(key: Uint8Array): Uint8Array | undefined {
    for (let bits = Math.min(indexOf(key), this.#bitsMax); bits >= 0; bits -= 1) {
      const row = this.#rows.get(this.#significant(key, bits));
      if (row !== undefined) return row.value.slice();
    }
    return undefined;
  }

  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode): number {
    const bits = indexOf(key);
    if (bits > this.#bitsMax) return errnos.EINVAL;
    const text = this.#significant(key, bits);
    const exists = this.#rows.has(text);
    const errno = forbidden(mode, exists);
    if (errno !== 0) return errno;
    if (!exists && this.#rows.size >= this.#maxEntries) return errnos.ENOSPC;
    this.#rows.set(text, { key: key.slice(), value: value.slice() });
    return 0;
  }

  delete(key: Uint8Array): number {
    const bits = indexOf(key);
    if (bits > this.#bitsMax) return errnos.EINVAL;
    return this.#rows.delete(this.#significant(key, bits)) ? 0 : errnos.ENOENT;
  }

  entries(): Iterable<Entry> {
    return this.#rows.values();
  }

  #significant(key: Uint8Array, bits: number): string {
    const whole = Math.floor(bits / 8);
    const part = key.slice(4, 4 + Math.ceil(bits / 8));
    if (bits % 8 !== 0) part[whole] = (part[whole] ?? 0) & (0xff00 >> (bits % 8));
    return `${bits}/${textOf(part)}`;
  }
}
