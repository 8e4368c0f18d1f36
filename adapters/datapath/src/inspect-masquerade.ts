import { formatAddress } from "@cilium-ts/net";
import { masqueradeKeyCodec, natDirection, natEntryCodec, natKeyCodec } from "./gen/index.ts";
import { u32Codec } from "./gen/scalars.ts";
import { decodeRows, type MapDump } from "./map-dump.ts";

/** What stands in for an address on what leaves the cluster, and the way back. */
export interface InspectedTranslation {
  readonly protocol: number;
  /** `out`: the source becomes `address`. `in`: the destination does. */
  readonly direction: "out" | "in";
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly address: string;
  readonly port: number;
}

/** A dump of map "snat". */
export function decodeTranslations(dump: MapDump): InspectedTranslation[] {
  return decodeRows(dump, natKeyCodec, natEntryCodec, (key, entry) => {
    const text = (bytes: Uint8Array): string => formatAddress(key.family === 4 ? bytes.subarray(0, 4) : bytes);
    return {
      protocol: key.protocol,
      direction: key.direction === natDirection.out ? "out" : "in",
      source: text(key.source),
      sourcePort: key.sourcePort,
      destination: text(key.destination),
      destinationPort: key.destinationPort,
      address: text(entry.address),
      port: entry.port,
    };
  });
}

/** family and pad stand before the address in the key. */
const bitsBeforeAddress = 32;

/** A dump of map "masquerade_exempt": prefixes whose machines see pods' own addresses. */
export function decodeExempt(dump: MapDump): string[] {
  return decodeRows(dump, masqueradeKeyCodec, u32Codec, ({ prefixLength, family, address }) => {
    return `${formatAddress(family === 4 ? address.subarray(0, 4) : address)}/${prefixLength - bitsBeforeAddress}`;
  });
}
