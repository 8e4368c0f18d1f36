import { type KubernetesClient, KubernetesError, podPoolClaims, reflect, resources } from "@cilium-ts/kubernetes";
import type { Log } from "@cilium-ts/log";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { MultiPool } from "./multi-pool.ts";

export interface FollowPoolsOptions {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly nodeName: string;
  readonly pool: MultiPool;
}

/** How often the node looks for what it can give back. */
const trimIntervalMs = 15_000;

/** Until aborted: what the CiliumPodIPPools say, and what of the node's share is spare. */
export async function followPools({ client, clock, log, nodeName, pool }: FollowPoolsOptions, signal: AbortSignal): Promise<void> {
  const follow = reflect({
    client,
    clock,
    signal,
    resource: resources.ciliumPodIPPools,
    onUpsert(object) {
      const { name = "" } = object.metadata;
      for (const problem of pool.takePool(name, object))
        log.error(`the CiliumPodIPPool ${name} is not valid, and nothing of it is changed: ${problem}`);
    },
    onDelete: ({ name }) => void pool.takePool(name, undefined),
    onListed: () => pool.poolsKnown(),
    onState: (state) => {
      if (state.kind !== "waiting" || state.failures > 1) return;
      log.warn(`the API server does not serve ciliumpodippools: ${errorMessage(state.failure)}; what it last said stays in force`);
    },
  });
  const trim = async (): Promise<void> => {
    for (; !signal.aborted; await clock.sleep(trimIntervalMs, signal).catch(() => {})) {
      await giveBack({ client, nodeName, pool }, signal).catch((cause) => {
        if (!signal.aborted) log.warn(`the CiliumNode ${nodeName} does not name the right pod CIDRs yet: ${errorMessage(cause)}`);
      });
    }
  };
  await Promise.all([follow, trim()]);
}

/** Of the version that was looked at, or not at all: the operator may just be giving more. */
async function giveBack(
  { client, nodeName, pool }: Pick<FollowPoolsOptions, "client" | "nodeName" | "pool">,
  signal: AbortSignal,
): Promise<void> {
  const trimmed = pool.trim();
  if (trimmed === undefined) return;
  const { resourceVersion, shares } = trimmed;
  const body = { metadata: { resourceVersion }, spec: { ipam: { pools: { allocated: podPoolClaims(shares) } } } };
  try {
    await client.patch(resources.ciliumNodes, { name: nodeName }, { type: "merge", body }, { signal });
  } catch (cause) {
    if (!(cause instanceof KubernetesError) || (cause.status !== 409 && cause.status !== 404)) throw cause;
  }
}
