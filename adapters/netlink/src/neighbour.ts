import { type AddressBytes, type Family, formatAddress } from "@cilium-ts/net";
import { malformed, unacceptable } from "./errors.ts";
import { encodeFamily, familyNumberOf, sizeBytesOfFamily } from "./family.ts";
import { decodeAttributes, fixedPart } from "./message-reader.ts";
import type { MessageWriter } from "./message-writer.ts";
import { neighbourAttribute } from "./wire.ts";

/** How sure the kernel is (NUD_*). */
export type NeighbourState = "none" | "incomplete" | "reachable" | "stale" | "delay" | "probe" | "failed" | "noarp" | "permanent";

export interface Neighbour {
  readonly linkIndex: number;
  readonly address: AddressBytes;
  /** Undefined while it is not known. */
  readonly mac: Uint8Array | undefined;
  readonly state: NeighbourState;
}

/** A permanent entry: never asked for, never forgotten. */
export interface NewNeighbour {
  readonly linkIndex: number;
  readonly address: AddressBytes;
  readonly mac: Uint8Array;
}

export type NeighbourKey = Pick<NewNeighbour, "linkIndex" | "address">;

/** ndmsg. */
const fixedSizeBytes = 12;
const permanent = 0x80;
const states: readonly (readonly [number, NeighbourState])[] = [
  [permanent, "permanent"],
  [0x40, "noarp"],
  [0x20, "failed"],
  [0x10, "probe"],
  [0x08, "delay"],
  [0x04, "stale"],
  [0x02, "reachable"],
  [0x01, "incomplete"],
];

export function describeNeighbour(neighbour: NeighbourKey): string {
  return `neighbour ${formatAddress(neighbour.address)} on link #${neighbour.linkIndex}`;
}

export function checkNeighbour(operation: string, neighbour: NeighbourKey & { readonly mac?: Uint8Array }): void {
  const size = neighbour.address.length;
  if (size !== 4 && size !== 16) throw unacceptable(operation, "neighbour", `an address has 4 or 16 bytes, not ${size}`);
  if (neighbour.mac !== undefined && neighbour.mac.length !== 6) {
    throw unacceptable(operation, describeNeighbour(neighbour), `a MAC has 6 bytes, not ${neighbour.mac.length}`);
  }
}

export function encodeNeighbour(writer: MessageWriter, neighbour: NeighbourKey & { readonly mac?: Uint8Array }): void {
  encodeFixed(writer, familyNumberOf(neighbour.address), neighbour.linkIndex, permanent);
  writer.attribute(neighbourAttribute.destination, neighbour.address);
  if (neighbour.mac !== undefined) writer.attribute(neighbourAttribute.linkLayerAddress, neighbour.mac);
}

export function encodeNeighbourQuery(writer: MessageWriter, family: Family | undefined): void {
  encodeFixed(writer, encodeFamily(family), 0, 0);
}

function encodeFixed(writer: MessageWriter, family: number, linkIndex: number, state: number): void {
  writer.u8(family);
  writer.u8(0);
  writer.u16(0);
  writer.u32(linkIndex);
  writer.u16(state);
  writer.u8(0);
  writer.u8(0);
}

/** Undefined for families other than IPv4 and IPv6 (bridges keep their forwarding tables here too). */
export function decodeNeighbour(payload: Uint8Array): Neighbour | undefined {
  const fixed = fixedPart(payload, fixedSizeBytes);
  const sizeBytes = sizeBytesOfFamily(fixed.getUint8(0));
  if (sizeBytes === undefined) return undefined;
  const attributes = decodeAttributes(payload.subarray(fixedSizeBytes));
  const address = attributes.address(neighbourAttribute.destination, sizeBytes);
  if (address === undefined) throw malformed("a neighbour without an address");
  const state = fixed.getUint16(8, true);
  return {
    linkIndex: fixed.getInt32(4, true),
    address,
    mac: attributes.bytes(neighbourAttribute.linkLayerAddress),
    state: states.find(([bit]) => (state & bit) !== 0)?.[1] ?? "none",
  };
}
