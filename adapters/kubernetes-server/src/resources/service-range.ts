import {
  type AddressBytes,
  addressFromBigInt,
  addressToBigInt,
  type Family,
  familyOf,
  formatAddress,
  parseAddress,
  parsePrefix,
} from "@cilium-ts/net";

/** The addresses that services of one family may have. */
export interface ServiceRange {
  readonly family: Family;
  /** As it was given, for messages. */
  readonly text: string;
  /** The first address that is handed out, and how many there are. */
  readonly first: bigint;
  readonly count: bigint;
}

export type ParsedRanges =
  | { readonly outcome: "parsed"; readonly ranges: readonly ServiceRange[] }
  | { readonly outcome: "problem"; readonly problem: string };

/** Larger ranges are used in part: nobody has so many services. */
const countMax = 1n << 20n;
const countMin = 2n;

/** `10.96.0.0/16`, or one range of each family with a comma between; the first is that of services that do not say. */
export function parseServiceRanges(text: string): ParsedRanges {
  const ranges: ServiceRange[] = [];
  for (const part of text.split(",").map((one) => one.trim())) {
    const prefix = part.includes("/") ? parsePrefix(part) : undefined;
    if (prefix === undefined) return { outcome: "problem", problem: `${JSON.stringify(part)} is no range such as 10.96.0.0/16` };
    const family = familyOf(prefix.address);
    // Neither the address of the network nor, in IPv4, that of broadcasts.
    const size = 1n << BigInt((family === 4 ? 32 : 128) - prefix.length);
    const usable = size - (family === 4 ? 2n : 1n);
    if (usable < countMin) return { outcome: "problem", problem: `the range ${part} is too small for services` };
    const count = usable < countMax ? usable : countMax;
    ranges.push({ family, text: part, first: addressToBigInt(prefix.address) + 1n, count });
  }
  const [one, two, ...more] = ranges;
  if (more.length > 0 || one?.family === two?.family)
    return { outcome: "problem", problem: "there may be one range of each family, IPv4 and IPv6" };
  return { outcome: "parsed", ranges };
}

export function addressAt(range: ServiceRange, offset: bigint): string {
  return formatAddress(addressFromBigInt(range.first + offset, range.family));
}

export function rangeContains(range: ServiceRange, address: AddressBytes): boolean {
  const value = addressToBigInt(address) - range.first;
  return familyOf(address) === range.family && value >= 0n && value < range.count;
}

/**
 * A free address of the range, undefined when there is none. The lower part of the range is left to those who choose their address
 * themselves, as long as the rest is not full. `random` gives a whole number below its argument.
 */
export function pickAddress(
  range: ServiceRange,
  isUsed: (address: string) => boolean,
  random: (below: number) => number,
): string | undefined {
  const count = Number(range.count);
  const chosen = Math.min(Math.max(16, Math.floor(count / 16)), 256, Math.floor(count / 2));
  for (const [from, to] of [
    [chosen, count],
    [0, chosen],
  ] as const) {
    const start = random(to - from);
    for (let step = 0; step < to - from; step += 1) {
      const address = addressAt(range, BigInt(from + ((start + step) % (to - from))));
      if (!isUsed(address)) return address;
    }
  }
  return undefined;
}

/** The address as it is compared: `FD00::1` and `fd00:0::1` are one. Undefined when it is none. */
export function canonicalAddress(text: string): { readonly text: string; readonly bytes: AddressBytes } | undefined {
  const bytes = parseAddress(text);
  return bytes === undefined ? undefined : { text: formatAddress(bytes), bytes };
}
