import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PoolShare } from "@cilium-ts/ipam";
import { formatPrefix, type Prefix, parsePrefix } from "@cilium-ts/net";
import type { PodRanges } from "./pod-ranges.ts";

/** What a restarted agent must know before it may ask anybody. */
export interface KeptPools {
  /** The pod CIDRs of the routers. */
  readonly ranges: PodRanges;
  readonly shares: readonly PoolShare[];
}

const fileName = "pod-pools.json";

/** Undefined: never written, or half-written; the cluster still knows. */
export function readKeptPools(stateDirectory: string): KeptPools | undefined {
  try {
    const { ipv4Range, ipv6Range, shares } = JSON.parse(readFileSync(join(stateDirectory, fileName), "utf8"));
    return { ranges: { ipv4Range: prefixOf(ipv4Range, 4), ipv6Range: prefixOf(ipv6Range, 16) }, shares: sharesOf(shares) };
  } catch {
    return undefined;
  }
}

export function writeKeptPools(stateDirectory: string, { ranges, shares }: KeptPools): void {
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  const path = join(stateDirectory, fileName);
  const text = JSON.stringify({ ipv4Range: formatPrefix(ranges.ipv4Range), ipv6Range: formatPrefix(ranges.ipv6Range), shares });
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
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
