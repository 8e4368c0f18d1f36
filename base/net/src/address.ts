import { isIPv4, isIPv6 } from "node:net";

/** IPv4 as 4 bytes, IPv6 as 16, in network order. */
export type AddressBytes = Uint8Array;

export type Family = 4 | 6;

/** Undefined when the text is no address. Zones (`%eth0`) are no part of an address here. */
export function parseAddress(text: string): AddressBytes | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split(".").map(Number));
  if (isIPv6(text) && !text.includes("%")) return parseIPv6(text);
  return undefined;
}

/** RFC 5952: lower case, the longest run of zero groups (two or more, the first of equals) as `::`. */
export function formatAddress(bytes: AddressBytes): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw new RangeError(`an address has 4 or 16 bytes, not ${bytes.length}`);
  const groups: number[] = [];
  for (let index = 0; index < 16; index += 2) groups.push(((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0));
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) return `::ffff:${bytes.subarray(12).join(".")}`;
  const run = longestZeroRun(groups);
  const text = (part: number[]): string => part.map((group) => group.toString(16)).join(":");
  if (run === undefined) return text(groups);
  return `${text(groups.slice(0, run.start))}::${text(groups.slice(run.start + run.length))}`;
}

export function familyOf(bytes: AddressBytes): Family {
  return bytes.length === 4 ? 4 : 6;
}

export function addressToBigInt(bytes: AddressBytes): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}

export function addressFromBigInt(value: bigint, family: Family): AddressBytes {
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  let rest = value;
  for (let index = bytes.length - 1; index >= 0; index -= 1) {
    bytes[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** In 16 bytes, an IPv4 address in the first four: the form of map keys. */
export function addressKeyBytes(bytes: AddressBytes): Uint8Array {
  if (bytes.length === 16) return bytes;
  const key = new Uint8Array(16);
  key.set(bytes);
  return key;
}

/** `aa:bb:cc:dd:ee:ff`; undefined when the text is no MAC. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/.test(text)) return undefined;
  return Uint8Array.from(text.split(":").map((part) => Number.parseInt(part, 16)));
}

export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

function parseIPv6(text: string): AddressBytes {
  const lastColon = text.lastIndexOf(":");
  const tail = text.slice(lastColon + 1);
  let source = text;
  if (tail.includes(".")) {
    const [a = 0, b = 0, c = 0, d = 0] = tail.split(".").map(Number);
    source = `${text.slice(0, lastColon + 1)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = "", rest] = source.split("::");
  const groupsOf = (part: string): number[] => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16)));
  const before = groupsOf(head);
  const after = rest === undefined ? [] : groupsOf(rest);
  const groups = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
  const bytes = new Uint8Array(16);
  for (const [index, group] of groups.entries()) {
    bytes[index * 2] = group >> 8;
    bytes[index * 2 + 1] = group & 0xff;
  }
  return bytes;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } | undefined {
  let best: { start: number; length: number } | undefined;
  for (let start = 0; start < groups.length; start += 1) {
    let length = 0;
    while (groups[start + length] === 0) length += 1;
    if (length >= 2 && length > (best?.length ?? 0)) best = { start, length };
    start += length;
  }
  return best;
}
