import type { BpfMap } from "@cilium-ts/kernel";
import type { AddressBytes } from "@cilium-ts/net";
import { ctFlags, decodeCtEntry, encodeCtKey4, encodeCtKey6 } from "./gen/index.ts";

/** Addresses and ports as the opener's packets have them. */
export interface ConnectionEnds {
  readonly protocol: number;
  readonly source: AddressBytes;
  readonly sourcePort: number;
  readonly destination: AddressBytes;
  readonly destinationPort: number;
}

/** What the kernel knows of a connection, from the end that opened it to the other. */
export interface TrackedConnection {
  /** As it was last judged. */
  readonly sourceIdentity: number;
  readonly destinationIdentity: number;
  /** On this node; 0: it is not here. */
  readonly sourceEndpoint: number;
  readonly destinationEndpoint: number;
  /** 0: no proxy has it. */
  readonly proxyPort: number;
}

/** Single connections of the kernel's tables. */
export class ConnectionMaps {
  readonly #maps: { readonly ct4: BpfMap; readonly ct6: BpfMap };

  constructor(maps: { readonly ct4: BpfMap; readonly ct6: BpfMap }) {
    this.#maps = maps;
  }

  /** Undefined: the kernel knows of none that the source has opened. */
  find(ends: ConnectionEnds): TrackedConnection | undefined {
    const sourceIsHigh = compareEnds(ends) > 0;
    const bytes = (ends.source.length === 4 ? this.#maps.ct4 : this.#maps.ct6).lookup(encodeKey(ends, sourceIsHigh));
    if (bytes === undefined) return undefined;
    const entry = decodeCtEntry(bytes);
    if (((entry.flags & ctFlags.originHigh) !== 0) !== sourceIsHigh || (entry.flags & ctFlags.denied) !== 0) return undefined;
    const { sourceIdentity, destinationIdentity, proxyPort } = entry;
    const [sourceEndpoint = 0, destinationEndpoint = 0] = entry.endpointId;
    return { sourceIdentity, destinationIdentity, sourceEndpoint, destinationEndpoint, proxyPort };
  }
}

function compareEnds({ source, sourcePort, destination, destinationPort }: ConnectionEnds): number {
  return Buffer.compare(source, destination) || sourcePort - destinationPort;
}

function encodeKey(ends: ConnectionEnds, sourceIsHigh: boolean): Uint8Array {
  const { protocol, source, sourcePort, destination, destinationPort } = ends;
  const key = {
    lowAddress: sourceIsHigh ? destination : source,
    highAddress: sourceIsHigh ? source : destination,
    lowPort: sourceIsHigh ? destinationPort : sourcePort,
    highPort: sourceIsHigh ? sourcePort : destinationPort,
    protocol,
  };
  return source.length === 4 ? encodeCtKey4(key) : encodeCtKey6(key);
}
