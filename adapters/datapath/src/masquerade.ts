import type { BpfMap } from "@cilium-ts/kernel";
import { type AddressBytes, addressKeyBytes, parsePrefix } from "@cilium-ts/net";
import { encodeMasqueradeKey, encodeNativeDevice } from "./gen/index.ts";

/** What stands for pods' addresses on what leaves by a device. */
export interface MasqueradeDevice {
  readonly ifindex: number;
  /** An address of the device; undefined: pods' own leave as they are. */
  readonly ipv4?: AddressBytes | undefined;
  readonly ipv6?: AddressBytes | undefined;
}

export interface MasqueradeMaps {
  readonly native_devices: BpfMap;
  readonly masquerade_exempt: BpfMap;
  readonly snat: BpfMap;
}

/** family and pad stand before the address in the key. */
const bitsBeforeAddress = 32;

/** Which packets leave the cluster with an address of the node. Connections under way keep what they have until they end. */
export class Masquerade {
  readonly #maps: MasqueradeMaps;

  constructor(maps: MasqueradeMaps) {
    this.#maps = maps;
  }

  /** These devices, and no other. */
  setDevices(devices: readonly MasqueradeDevice[]): void {
    const rows = devices.map(({ ifindex, ipv4, ipv6 }): Row => {
      const key = new Uint8Array(Uint32Array.of(ifindex).buffer);
      return [key, encodeNativeDevice({ ipv4: ipv4 ?? new Uint8Array(4), ipv6: ipv6 ?? new Uint8Array(16) })];
    });
    replaceAll(this.#maps.native_devices, rows);
  }

  /** Destinations that see pods' own addresses, and no other: the cluster's pods, and its nodes where they have routes to pods. */
  setExempt(prefixes: readonly string[]): void {
    replaceAll(
      this.#maps.masquerade_exempt,
      prefixes.map((prefix): Row => [exemptKey(prefix), Uint8Array.of(1, 0, 0, 0)]),
    );
  }

  memoryBytes(): number {
    return Object.values<BpfMap>({ ...this.#maps }).reduce((sum, map) => sum + map.memoryBytes(), 0);
  }
}

type Row = readonly [key: Uint8Array, value: Uint8Array];

/** New rows first, so that what stays is never absent. */
function replaceAll(map: BpfMap, rows: readonly Row[]): void {
  const wanted = new Set(rows.map(([key]) => Buffer.from(key).toString("hex")));
  for (const [key, value] of rows) map.update(key, value);
  const { keys, count } = map.dump();
  for (let index = 0; index < count; index += 1) {
    const key = keys.slice(index * map.keySizeBytes, (index + 1) * map.keySizeBytes);
    if (!wanted.has(Buffer.from(key).toString("hex"))) map.delete(key);
  }
}

function exemptKey(text: string): Uint8Array {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new RangeError(`masquerade: ${text} is no prefix`);
  return encodeMasqueradeKey({
    prefixLength: bitsBeforeAddress + prefix.length,
    family: prefix.address.length === 4 ? 4 : 6,
    address: addressKeyBytes(prefix.address),
  });
}
