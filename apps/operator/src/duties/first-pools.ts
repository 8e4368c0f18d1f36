import { KubernetesError, resources } from "@cilium-ts/kubernetes";
import { createBackOff, errorMessage } from "@cilium-ts/std";
import type { FirstPool } from "../first-pools-text.ts";
import type { DutyWorld } from "./duty.ts";

/** Makes the pools that are not there; what is there stays as its owner made it. Tried again until each is there. */
export async function createPools(world: DutyWorld, pools: readonly FirstPool[], signal: AbortSignal): Promise<void> {
  const { writer, clock, log } = world;
  const backOff = createBackOff({ delayMsMin: 100, delayMsMax: 10_000 });
  for (const { name, spec } of pools) {
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      try {
        await writer.create(resources.ciliumPodIPPools, { metadata: { name }, spec }, { signal });
        log.info(`the CiliumPodIPPool ${name} was made`);
        break;
      } catch (cause) {
        if (cause instanceof KubernetesError && cause.status === 409) break;
        if (attempt === 1) log.warn(`the CiliumPodIPPool ${name} is not made yet: ${errorMessage(cause)}`);
        await clock.sleep(backOff.delayMs(attempt), signal).catch(() => {}); // Rejects only on abort.
      }
    }
  }
}
