import { type AddressBytes, formatAddress } from "@cilium-ts/net";
import { malformed, unacceptable } from "./errors.ts";
import { encodeFamily, familyNumberOf, sizeBytesOfFamily } from "./family.ts";
import { decodeAttributes, fixedPart } from "./message-reader.ts";
import type { MessageWriter } from "./message-writer.ts";
import { decodeScope, encodeScope, type Scope } from "./scope.ts";
import { interfaceAddressAttribute, interfaceAddressFlag } from "./wire.ts";

/** An address on a link. */
export interface InterfaceAddress {
  readonly linkIndex: number;
  readonly address: AddressBytes;
  /** Bits: 0 to 32, or 0 to 128. */
  readonly prefixLength: number;
  readonly scope: Scope;
  /** Duplicate detection has not ended (IPv6): nothing can be bound to it yet. */
  readonly tentative: boolean;
  /** Somebody else on the link has it (IPv6). */
  readonly duplicate: boolean;
  /** It has no lifetime: somebody configured it. */
  readonly permanent: boolean;
}

export interface NewInterfaceAddress {
  readonly linkIndex: number;
  readonly address: AddressBytes;
  readonly prefixLength: number;
  /** Default: universe; for IPv6 the kernel decides. */
  readonly scope?: Scope | undefined;
  /** IFA_F_NODAD: usable at once, without the second that IPv6 duplicate detection takes. */
  readonly noDad?: boolean | undefined;
  /** IFA_F_NOPREFIXROUTE: the kernel adds no route for the prefix. */
  readonly noPrefixRoute?: boolean | undefined;
}

/** ifaddrmsg. */
const fixedSizeBytes = 8;

export function describeInterfaceAddress(address: { linkIndex: number; address: AddressBytes; prefixLength: number }): string {
  return `address ${formatAddress(address.address)}/${address.prefixLength} on link #${address.linkIndex}`;
}

export function checkInterfaceAddress(operation: string, address: NewInterfaceAddress): void {
  const bits = address.address.length * 8;
  if (bits !== 32 && bits !== 128) throw unacceptable(operation, "address", `an address has 4 or 16 bytes, not ${address.address.length}`);
  if (!Number.isInteger(address.prefixLength) || address.prefixLength < 0 || address.prefixLength > bits) {
    throw unacceptable(operation, describeInterfaceAddress(address), `a prefix length is from 0 to ${bits}`);
  }
}

export function encodeInterfaceAddress(writer: MessageWriter, address: NewInterfaceAddress): void {
  encodeFixed(writer, familyNumberOf(address.address), address.prefixLength, encodeScope(address.scope ?? "universe"), address.linkIndex);
  writer.attribute(interfaceAddressAttribute.local, address.address);
  writer.attribute(interfaceAddressAttribute.address, address.address);
  const flags = (address.noDad ? interfaceAddressFlag.noDad : 0) | (address.noPrefixRoute ? interfaceAddressFlag.noPrefixRoute : 0);
  if (flags !== 0) writer.attributeU32(interfaceAddressAttribute.flags, flags);
}

export function encodeInterfaceAddressQuery(writer: MessageWriter, family: 4 | 6 | undefined): void {
  encodeFixed(writer, encodeFamily(family), 0, 0, 0);
}

function encodeFixed(writer: MessageWriter, family: number, prefixLength: number, scope: number, linkIndex: number): void {
  writer.u8(family);
  writer.u8(prefixLength);
  writer.u8(0); // The flags that fit here; all of them are in an attribute.
  writer.u8(scope);
  writer.u32(linkIndex);
}

/** Undefined for families other than IPv4 and IPv6. */
export function decodeInterfaceAddress(payload: Uint8Array): InterfaceAddress | undefined {
  const fixed = fixedPart(payload, fixedSizeBytes);
  const sizeBytes = sizeBytesOfFamily(fixed.getUint8(0));
  if (sizeBytes === undefined) return undefined;
  const attributes = decodeAttributes(payload.subarray(fixedSizeBytes));
  // On a point-to-point link "address" is the other end's; "local" is always ours, and IPv6 leaves it out where both are one.
  const address =
    attributes.address(interfaceAddressAttribute.local, sizeBytes) ?? attributes.address(interfaceAddressAttribute.address, sizeBytes);
  if (address === undefined) throw malformed("an interface address without an address");
  const flags = attributes.u32(interfaceAddressAttribute.flags) ?? fixed.getUint8(2);
  const prefixLength = fixed.getUint8(1);
  if (prefixLength > sizeBytes * 8) throw malformed(`a prefix length of ${prefixLength}`);
  return {
    linkIndex: fixed.getUint32(4, true),
    address,
    prefixLength,
    scope: decodeScope(fixed.getUint8(3)),
    tentative: (flags & interfaceAddressFlag.tentative) !== 0,
    duplicate: (flags & interfaceAddressFlag.dadFailed) !== 0,
    permanent: (flags & interfaceAddressFlag.permanent) !== 0,
  };
}
