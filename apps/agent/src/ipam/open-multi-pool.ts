import type { PoolShare } from "@cilium-ts/ipam";
import { ciliumNodeFrom, type KubernetesObject, nodePoolsFrom, operatorProblem, resources } from "@cilium-ts/kubernetes";
import { type Prefix, parseAddress, parsePrefix, prefixContainsAddress } from "@cilium-ts/net";
import { errorMessage } from "@cilium-ts/std";
import { type KeptPools, readKeptPools, writeKeptPools } from "./kept-pools.ts";
import { MultiPool } from "./multi-pool.ts";
import { introduceNode, type PodRanges, type PodRangesOptions } from "./pod-ranges.ts";

const askAgainMs = 200;

/**
 * The pools of this node: what an earlier agent kept, or what the operator gives once the node has said what it needs. Nothing can begin
 * without the router's addresses, which are of the default pool, so that is waited for.
 */
export async function openMultiPool(given: PodRangesOptions): Promise<MultiPool> {
  const { options, clock, localNode, signal } = given;
  const { stateDirectory, defaultPool, poolReserves } = options;
  const reserves = new Map(poolReserves);
  const kept = readKeptPools(stateDirectory) ?? (await askForPools(given));
  const { ranges } = kept;
  const keep = (shares: readonly PoolShare[]): void => writeKeptPools(stateDirectory, { ranges, shares });
  keep(kept.shares);
  const onNeeds = (needs: MultiPool["needs"] extends () => infer Needs ? Needs : never): void => localNode.request(needs);
  return new MultiPool({ ...kept, defaultPool, reserves, clock, signal, keep, onNeeds });
}

async function askForPools(given: PodRangesOptions): Promise<KeptPools> {
  const { options, clock, log, localNode, signal } = given;
  const { defaultPool, poolReserves } = options;
  // The routers take an address of each family, whatever is held ready.
  const reserve = Math.max(1, new Map(poolReserves).get(defaultPool) ?? 0);
  localNode.request([{ pool: defaultPool, ipv4: reserve, ipv6: reserve }]);
  for (let said = ""; ; await clock.sleep(askAgainMs, signal)) {
    const answer = await ask(given).catch((cause) => errorMessage(cause));
    if (typeof answer !== "string") return answer;
    if (answer !== said) log.warn(`the node has no pod CIDRs yet: ${answer}`);
    said = answer;
  }
}

/** What the node has, or why that is not enough. */
async function ask(given: PodRangesOptions): Promise<KeptPools | string> {
  const { options, client, signal } = given;
  const name = options.nodeName;
  const object = await client.get(resources.ciliumNodes, { name }, { signal });
  if (object === undefined || !nodePoolsFrom(object).requested.some(({ pool }) => pool === options.defaultPool)) await introduceNode(given);
  if (object === undefined) return `CiliumNode ${name} has just been made`;
  const shares = nodePoolsFrom(object).allocated;
  const ipv4Range = rangeOfRouter(object, shares, options.defaultPool, 4);
  const ipv6Range = rangeOfRouter(object, shares, options.defaultPool, 16);
  if (ipv4Range !== undefined && ipv6Range !== undefined) return { ranges: { ipv4Range, ipv6Range } satisfies PodRanges, shares };
  const said = operatorProblem(object);
  return `it needs one of each family of the CiliumPodIPPool ${options.defaultPool}; ${said === "" ? "is the operator running?" : `the operator says: ${said}`}`;
}

/** Where the router was before, as long as that is ours; else the default pool's first. */
function rangeOfRouter(object: KubernetesObject, shares: readonly PoolShare[], defaultPool: string, sizeBytes: 4 | 16): Prefix | undefined {
  const prefixes = (of: readonly PoolShare[]): Prefix[] =>
    of
      .flatMap(({ cidrs }) => cidrs.map(parsePrefix))
      .filter((prefix) => prefix !== undefined)
      .filter(({ address }) => address.length === sizeBytes);
  const routers = ciliumNodeFrom(object)
    .addresses.filter(({ type }) => type === "CiliumInternalIP")
    .map(({ ip }) => parseAddress(ip));
  const former = prefixes(shares).find((prefix) => routers.some((router) => router !== undefined && prefixContainsAddress(prefix, router)));
  return former ?? prefixes(shares.filter(({ pool }) => pool === defaultPool))[0];
}
