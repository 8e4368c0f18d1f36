import type { AddressBytes, Family } from "@cilium-ts/net";
import { addressFamily } from "./wire.ts";

export function familyNumberOf(address: AddressBytes): number {
  return address.length === 4 ? addressFamily.ipv4 : addressFamily.ipv6;
}

/** Undefined means every family. */
export function encodeFamily(family: Family | undefined): number {
  if (family === undefined) return addressFamily.unspecified;
  return family === 4 ? addressFamily.ipv4 : addressFamily.ipv6;
}

/** Undefined for families that are not ours. */
export function decodeFamily(number: number): Family | undefined {
  if (number === addressFamily.ipv4) return 4;
  return number === addressFamily.ipv6 ? 6 : undefined;
}

/** Of an address; undefined for families that are not ours. */
export function sizeBytesOfFamily(number: number): number | undefined {
  if (number === addressFamily.ipv4) return 4;
  return number === addressFamily.ipv6 ? 16 : undefined;
}
