import { formatAddress } from "@cilium-ts/net";
import { ctEntryCodec, ctFlags, ctKey4Codec, ctKey6Codec, fragmentKeyCodec, fragmentPortsCodec } from "./gen/index.ts";
import { decodeRows, type MapDump } from "./map-dump.ts";

/** A tracked connection, from the end that opened it to the other. */
export interface InspectedConnection {
  readonly protocol: number;
  readonly source: string;
  /** ICMP echo: the identifier. */
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  /** Seconds of CLOCK_MONOTONIC. */
  readonly expiresS: number;
  readonly sourceIdentity: number;
  readonly destinationIdentity: number;
  /** Policy sets that admit it; 0: none does, or it was not judged there. */
  readonly egressSet: number;
  readonly ingressSet: number;
  /** 0: no proxy. */
  readonly proxyPort: number;
  /** In the order of the bits. */
  readonly flags: readonly ConnectionFlag[];
  /** As in the kernel. */
  readonly rawFlags: number;
}

/** Which end opened the connection is told by source and destination, so that bit has no name here. */
const flagNames = [
  ["Replied", ctFlags.replied],
  ["FinForward", ctFlags.finForward],
  ["FinReply", ctFlags.finReply],
  ["Reset", ctFlags.reset],
  ["Denied", ctFlags.denied],
] as const;
type ConnectionFlag = (typeof flagNames)[number][0];

/** What a first fragment said for those that follow. */
export interface InspectedFragment {
  readonly source: string;
  readonly destination: string;
  readonly id: number;
  /** Of the transport. */
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** A dump of map "ct4" or "ct6". */
export function decodeConnections(dump: MapDump, family: 4 | 6): InspectedConnection[] {
  const keyCodec = family === 4 ? ctKey4Codec : ctKey6Codec;
  return decodeRows(dump, keyCodec, ctEntryCodec, (key, entry) => {
    const low = { address: formatAddress(key.lowAddress), port: key.lowPort };
    const high = { address: formatAddress(key.highAddress), port: key.highPort };
    const [from, to] = (entry.flags & ctFlags.originHigh) === 0 ? [low, high] : [high, low];
    return {
      protocol: key.protocol,
      source: from.address,
      sourcePort: from.port,
      destination: to.address,
      destinationPort: to.port,
      expiresS: entry.expiresS,
      sourceIdentity: entry.sourceIdentity,
      destinationIdentity: entry.destinationIdentity,
      egressSet: entry.egressSet,
      ingressSet: entry.ingressSet,
      proxyPort: entry.proxyPort,
      flags: flagNames.filter(([, bit]) => (entry.flags & bit) !== 0).map(([name]) => name),
      rawFlags: entry.flags,
    };
  });
}

/** A dump of map "fragments". */
export function decodeFragments(dump: MapDump): InspectedFragment[] {
  return decodeRows(dump, fragmentKeyCodec, fragmentPortsCodec, (key, ports) => {
    const sizeBytes = key.family === 4 ? 4 : 16;
    return {
      source: formatAddress(key.source.subarray(0, sizeBytes)),
      destination: formatAddress(key.destination.subarray(0, sizeBytes)),
      id: key.id,
      protocol: ports.protocol,
      sourcePort: ports.source,
      destinationPort: ports.destination,
    };
  });
}
