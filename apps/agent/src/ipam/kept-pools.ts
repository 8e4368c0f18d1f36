import type { PoolShare } from "@cilium-ts/ipam";
import { formatPrefix, type Prefix, parsePrefix } from "@cilium-ts/net";
import { KeptFile } from "./kept-file.ts";
import type { PodRanges } from "./pod-ranges.ts";

/** What a restarted agent must know before it may ask anybody. */
export interface KeptPools {
  /** The pod CIDRs of the routers. */
  readonly ranges: PodRanges;
  readonly shares: readonly PoolShare[];
}

function fileIn(stateDirectory: string): KeptFile<KeptPools> {
  return new KeptFile(stateDirectory, "pod-pools", (text) => {
    const { ipv4Range, ipv6Range, shares } = JSON.parse(text);
    return { ranges: { ipv4Range: prefixOf(ipv4Range, 4), ipv6Range: prefixOf(ipv6Range, 16) }, shares: sharesOf(shares) };
  });
}

export function readKeptPools(stateDirectory: string): KeptPools | undefined {
  return fileIn(stateDirectory).read();
}

export function writeKeptPools(stateDirectory: string, { ranges, shares }: KeptPools): void {
  const { ipv4Range, ipv6Range } = ranges;
  fileIn(stateDirectory).write(JSON.stringify({ ipv4Range: formatPrefix(ipv4Range), ipv6Range: formatPrefix(ipv6Range), shares }));
}

function prefixOf(text: unknown, sizeBytes: 4 | 16): Prefix {
  const prefix = typeof text === "string" ? parsePrefix(text) : undefined;
  if (prefix?.address.length !== sizeBytes) throw new RangeError(`${String(text)} is no prefix`);
  return prefix;
}

function sharesOf(value: unknown): PoolShare[] {
  if (!Array.isArray(value)) throw new RangeError("there is no list of shares");
  return value.map(({ pool, cidrs }) => {
    if (typeof pool !== "string" || !Array.isArray(cidrs)) throw new RangeError("a share has a pool and CIDRs");
    for (const cidr of cidrs) if (typeof cidr !== "string" || parsePrefix(cidr) === undefined) throw new RangeError(`${cidr} is no CIDR`);
    return { pool, cidrs };
  });
}
