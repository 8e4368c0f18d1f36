import type { IpcacheMap, IpcacheRow as KernelRow } from "@cilium-ts/datapath";
import { Ipcache, type IpcacheChange, type IpcacheRow, type IpcacheSource } from "@cilium-ts/identity";
import { type AddressBytes, type Prefix, parsePrefix } from "@cilium-ts/net";
import { Table, type Target } from "@cilium-ts/state";

/** What the kernel should have of an address. */
interface DesiredRow {
  readonly prefix: string;
  readonly identity: number;
  readonly tunnelEndpoint: string | undefined;
}

/**
 * Address to identity, merged from its sources, and in the kernel at once. What the kernel refuses, or somebody else removes there, the
 * reconciler of `table` against `target` puts right.
 */
export class IpcacheTable {
  readonly #merged = new Ipcache();
  readonly #map: IpcacheMap;
  readonly #onChange: (change: IpcacheChange) => void;
  /** Prefixes whose row is in the kernel since it last changed: the reconciler need not write it once more. */
  readonly #written = new Set<string>();
  /** Prefixes of which the kernel has not what it should: it has refused the write. */
  readonly #refused = new Set<string>();
  readonly table = new Table<string, DesiredRow>({ name: "ipcache", keyOf: (row) => row.prefix, sources: ["agent"] });

  constructor(map: IpcacheMap, onChange: (change: IpcacheChange) => void) {
    this.#map = map;
    this.#onChange = onChange;
  }

  /** The tunnel endpoint is the IPv4 address of the node that has the address; undefined: it is reached without a tunnel. */
  upsert(prefix: string | Prefix, source: IpcacheSource, identity: number, tunnelEndpoint?: string): void {
    this.#take(this.#merged.upsert(asPrefix(prefix), source, { identity, ...(tunnelEndpoint !== undefined && { tunnelEndpoint }) }));
  }

  remove(prefix: string | Prefix, source: IpcacheSource): void {
    this.#take(this.#merged.remove(asPrefix(prefix), source));
  }

  /** 0: nobody is known to have it. */
  identityOf(address: AddressBytes): number {
    return this.#merged.lookup(address)?.identity ?? 0;
  }

  /** Whether the kernel has been told all that is known of the prefix. */
  isRealised(prefix: string): boolean {
    return !this.#refused.has(prefix);
  }

  rows(): Iterable<IpcacheRow> {
    return this.#merged.rows();
  }

  get target(): Target<string, DesiredRow> {
    const map = this.#map;
    return {
      apply: async (row) => {
        if (!this.#written.delete(row.prefix)) map.upsert(row);
        this.#refused.delete(row.prefix);
      },
      remove: async (prefix) => {
        map.delete(prefix);
        this.#refused.delete(prefix);
      },
      realised: async () => {
        const prefixes: string[] = [];
        for (const row of map.rows()) if (!this.#hasDrifted(row)) prefixes.push(row.prefix);
        this.#written.clear(); // Whatever is found wrong now is to be written.
        return prefixes;
      },
    };
  }

  /** True: the prefix is right, what the kernel has of it is not. */
  #hasDrifted({ prefix, identity, tunnelEndpoint }: KernelRow): boolean {
    const wanted = this.table.get(prefix);
    return wanted !== undefined && (wanted.identity !== identity || wanted.tunnelEndpoint !== tunnelEndpoint);
  }

  #take(change: IpcacheChange | undefined): void {
    if (change === undefined) return;
    this.#onChange(change);
    const row =
      change.after === undefined
        ? undefined
        : { prefix: change.key, identity: change.after.identity, tunnelEndpoint: change.after.tunnelEndpoint };
    this.#written.delete(change.key);
    if (row === undefined) this.table.delete(change.key);
    else this.table.upsert(row);
    try {
      if (row === undefined) this.#map.delete(change.key);
      else this.#map.upsert(row);
      if (row !== undefined) this.#written.add(row.prefix);
      this.#refused.delete(change.key);
    } catch {
      this.#refused.add(change.key);
      // The table holds what should be there: the reconciler tries again, and reports what it meets.
    }
  }
}

function asPrefix(prefix: string | Prefix): Prefix {
  const parsed = typeof prefix === "string" ? parsePrefix(prefix) : prefix;
  if (parsed === undefined) throw new RangeError(`${String(prefix)} is no prefix`);
  return parsed;
}
