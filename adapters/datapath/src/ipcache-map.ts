import type { BpfMap } from "@cilium-ts/kernel";
import { addressKeyBytes, formatAddress, parseAddress, parsePrefix } from "@cilium-ts/net";
import {
  decodeIpcacheEntry,
  decodeIpcacheKey,
  encodeIpcacheEntry,
  encodeIpcacheKey,
  ipcacheEntryLayout,
  ipcacheKeyLayout,
} from "./gen/index.ts";

/** Whose an address is. */
export interface IpcacheRow {
  /** `10.0.1.7/32`. */
  readonly prefix: string;
  readonly identity: number;
  /** IPv4 address of the node to tunnel to; undefined: no tunnel. */
  readonly tunnelEndpoint?: string | undefined;
}

/** cluster_id, pad and family stand before the address in the key. */
const bitsBeforeAddress = 32;

/** The address-to-identity map in the kernel; a Target for reconciling, and quick single writes. */
export class IpcacheMap {
  readonly #map: BpfMap;
  readonly #onChange: () => void;

  constructor(map: BpfMap, onChange: () => void) {
    this.#map = map;
    this.#onChange = onChange;
  }

  /** True when the kernel had something else before. */
  upsert(row: IpcacheRow): boolean {
    const key = keyOf(row.prefix);
    const value = encodeIpcacheEntry({ identity: row.identity, tunnelEndpoint: tunnelBytes(row), encryptKey: 0, flags: 0 });
    // An LPM lookup finds the longest prefix, not this one: whether this row is new is only known from its own value.
    const before = this.#map.lookup(key);
    this.#map.update(key, value);
    const changed = before === undefined || !Buffer.from(before).equals(value);
    if (changed) this.#onChange();
    return changed;
  }

  delete(prefix: string): void {
    if (this.#map.delete(keyOf(prefix))) this.#onChange();
  }

  rows(): IpcacheRow[] {
    const dump = this.#map.dump();
    const rows: IpcacheRow[] = [];
    for (let index = 0; index < dump.count; index += 1) {
      const key = decodeIpcacheKey(dump.keys, index * ipcacheKeyLayout.sizeBytes);
      const entry = decodeIpcacheEntry(dump.values, index * ipcacheEntryLayout.sizeBytes);
      const address = formatAddress(key.family === 4 ? key.address.subarray(0, 4) : key.address);
      const tunnelEndpoint = entry.tunnelEndpoint.some((byte) => byte !== 0) ? formatAddress(entry.tunnelEndpoint) : undefined;
      rows.push({ prefix: `${address}/${key.prefixLength - bitsBeforeAddress}`, identity: entry.identity, tunnelEndpoint });
    }
    return rows;
  }
}

function tunnelBytes({ prefix, tunnelEndpoint }: IpcacheRow): Uint8Array {
  if (tunnelEndpoint === undefined) return new Uint8Array(4);
  const address = parseAddress(tunnelEndpoint);
  if (address?.length !== 4)
    throw new RangeError(`ipcache: the tunnel for ${prefix} cannot end at ${tunnelEndpoint}: it needs an IPv4 address`);
  return address;
}

function keyOf(text: string): Uint8Array {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new RangeError(`ipcache: ${text} is no prefix`);
  return encodeIpcacheKey({
    prefixLength: bitsBeforeAddress + prefix.length,
    clusterId: 0,
    family: prefix.address.length === 4 ? 4 : 6,
    address: addressKeyBytes(prefix.address),
  });
}
