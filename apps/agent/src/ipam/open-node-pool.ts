import { podPoolClaims } from "@cilium-ts/kubernetes";
import { formatPrefix } from "@cilium-ts/net";
import { MultiPool } from "./multi-pool.ts";
import { createNodePool, type NodePool } from "./node-pool.ts";
import { openMultiPool } from "./open-multi-pool.ts";
import { type PodRangesOptions, resolvePodRanges } from "./pod-ranges.ts";

/** The node's addresses, as the mode of IPAM has them. Waits for them. */
export async function openNodePool(given: PodRangesOptions): Promise<NodePool> {
  const { options, clock, localNode } = given;
  const pool = options.ipam === "multi-pool" ? await openMultiPool(given) : createNodePool(await resolvePodRanges(given), clock);
  if (pool instanceof MultiPool) {
    localNode.request(pool.needs());
    localNode.holds(() => ({ pools: { allocated: podPoolClaims(pool.shares()) } }));
  } else if (options.ipam !== "host-scope") localNode.holds(() => ({ podCIDRs: pool.prefixes().map(formatPrefix) }));
  return pool;
}
