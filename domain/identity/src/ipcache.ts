import { type AddressBytes, formatPrefix, maskAddress, type Prefix } from "@cilium-ts/net";

/** Who says which identity an address has; the first that speaks wins. */
export const ipcacheSources = [
  "kube-apiserver",
  "local",
  "kvstore",
  "custom-resource",
  "kubernetes",
  "names",
  "generated",
  "restored",
] as const;
export type IpcacheSource = (typeof ipcacheSources)[number];

export interface IpcacheValue {
  readonly identity: number;
  /** Address of the node that the packet must be tunnelled to; undefined on this node and outside the cluster. */
  readonly tunnelEndpoint?: string;
  /** 0: not encrypted. */
  readonly encryptKey?: number;
}

export interface IpcacheRow extends IpcacheValue {
  readonly prefix: Prefix;
  /** Canonical text of the prefix. */
  readonly key: string;
  readonly source: IpcacheSource;
}

/** How a change shows in the merged table; undefined on a side: no row. */
export interface IpcacheChange {
  readonly key: string;
  readonly before: IpcacheRow | undefined;
  readonly after: IpcacheRow | undefined;
}

const rank = new Map<IpcacheSource, number>(ipcacheSources.map((source, index) => [source, index]));

/**
 * Prefix to identity, merged from several sources. Each source speaks for itself only: what it takes back uncovers what a weaker
 * source says.
 */
export class Ipcache {
  readonly #claims = new Map<string, IpcacheRow[]>();
  /** How many rows have a length, by family: lookups try only these. */
  readonly #lengths = { 4: new Map<number, number>(), 6: new Map<number, number>() };

  /** Undefined when the merged table stays as it was. */
  upsert(prefix: Prefix, source: IpcacheSource, value: IpcacheValue): IpcacheChange | undefined {
    const key = formatPrefix(prefix);
    const row: IpcacheRow = Object.freeze({ ...value, prefix, key, source });
    const claims = this.#claims.get(key) ?? [];
    const before = claims[0];
    const kept = claims.filter((claim) => claim.source !== source);
    kept.push(row);
    kept.sort((a, b) => rankOf(a.source) - rankOf(b.source));
    this.#claims.set(key, kept);
    if (before === undefined) this.#count(prefix, 1);
    return changeOf(key, before, kept[0]);
  }

  /** Undefined when the merged table stays as it was. */
  remove(prefix: Prefix, source: IpcacheSource): IpcacheChange | undefined {
    const key = formatPrefix(prefix);
    const claims = this.#claims.get(key);
    if (claims === undefined) return undefined;
    const kept = claims.filter((claim) => claim.source !== source);
    if (kept.length === 0) {
      this.#claims.delete(key);
      this.#count(prefix, -1);
    } else {
      this.#claims.set(key, kept);
    }
    return changeOf(key, claims[0], kept[0]);
  }

  get(key: string): IpcacheRow | undefined {
    return this.#claims.get(key)?.[0];
  }

  /** The row of the longest prefix around the address. */
  lookup(address: AddressBytes): IpcacheRow | undefined {
    const lengths = this.#lengths[address.length === 4 ? 4 : 6];
    for (const length of [...lengths.keys()].sort((a, b) => b - a)) {
      const row = this.get(formatPrefix({ address: maskAddress(address, length), length }));
      if (row !== undefined) return row;
    }
    return undefined;
  }

  get size(): number {
    return this.#claims.size;
  }

  *rows(): IterableIterator<IpcacheRow> {
    for (const [row] of this.#claims.values()) if (row !== undefined) yield row;
  }

  #count(prefix: Prefix, difference: number): void {
    const lengths = this.#lengths[prefix.address.length === 4 ? 4 : 6];
    const count = (lengths.get(prefix.length) ?? 0) + difference;
    if (count === 0) lengths.delete(prefix.length);
    else lengths.set(prefix.length, count);
  }
}

function rankOf(source: IpcacheSource): number {
  return rank.get(source) ?? ipcacheSources.length;
}

function changeOf(key: string, before: IpcacheRow | undefined, after: IpcacheRow | undefined): IpcacheChange | undefined {
  const same =
    before?.identity === after?.identity &&
    before?.tunnelEndpoint === after?.tunnelEndpoint &&
    before?.encryptKey === after?.encryptKey &&
    before?.source === after?.source;
  return same ? undefined : { key, before, after };
}
