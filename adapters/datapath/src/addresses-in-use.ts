import type { BpfMap } from "@cilium-ts/kernel";
import { formatAddress, parseAddress } from "@cilium-ts/net";
import { ctEntryLayout, ctFlags, ctKey4Layout, ctKey6Layout, decodeCtEntry } from "./gen/index.ts";

/**
 * Those of the addresses that an end of a living connection has: one that policy admits and that has not expired. Reads all connections
 * of the families that are asked about.
 */
export function addressesInUse(
  maps: { readonly ct4: BpfMap; readonly ct6: BpfMap },
  addresses: ReadonlySet<string>,
  nowS: number,
): ReadonlySet<string> {
  const used = new Set<string>();
  const parsed = [...addresses].flatMap((address) => parseAddress(address) ?? []);
  collect(maps.ct4, ctKey4Layout, 4, parsed, nowS, used);
  collect(maps.ct6, ctKey6Layout, 16, parsed, nowS, used);
  return used;
}

function collect(
  map: BpfMap,
  layout: { readonly sizeBytes: number },
  addressBytes: 4 | 16,
  addresses: readonly Uint8Array[],
  nowS: number,
  used: Set<string>,
): void {
  const wanted = new Map<string, string>();
  for (const address of addresses) if (address.length === addressBytes) wanted.set(latin1(address), formatAddress(address));
  if (wanted.size === 0) return;
  const { keys, values, count } = map.dump();
  const bytes = Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength);
  for (let index = 0; index < count; index += 1) {
    const start = index * layout.sizeBytes;
    // Both addresses stand at the key's beginning.
    for (const at of [start, start + addressBytes]) {
      const address = wanted.get(bytes.toString("latin1", at, at + addressBytes));
      if (address === undefined) continue;
      const { expiresS, flags } = decodeCtEntry(values, index * ctEntryLayout.sizeBytes);
      if (expiresS >= nowS && (flags & ctFlags.denied) === 0) used.add(address);
    }
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
