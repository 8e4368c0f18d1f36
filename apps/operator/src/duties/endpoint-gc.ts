import { KubernetesError, resources } from "@cilium-ts/kubernetes";
import type { EndpointRow } from "../cluster/rows.ts";
import { areSynced, type DutyWorld, inPasses } from "./duty.ts";

/** Between two deletions, at least: 50 a second. */
const paceMs = 20;

/**
 * Deletes CiliumEndpoints whose pod is gone. Their owner reference usually sees to that; this is for those that have none, or whose
 * cluster has nobody who follows owner references.
 */
export async function collectEndpoints(world: DutyWorld, intervalMs: number, signal: AbortSignal): Promise<void> {
  await inPasses(world, { what: "the collection of endpoints", intervalMs, signal, pass: () => collect(world, signal) });
}

async function collect(world: DutyWorld, signal: AbortSignal): Promise<void> {
  const { cluster, clock, log, metrics } = world;
  const { endpoints, pods } = cluster;
  if (!(await areSynced([endpoints, pods], signal))) return;
  let deleted = 0;
  for (const row of [...endpoints.rows()].filter(({ key }) => pods.get(key) === undefined)) {
    const failure = cluster.failure(endpoints, pods);
    if (failure !== undefined) throw new Error(failure);
    const isDeleted = await deleteOrphan(world, row, signal);
    metrics.endpointsCollected.increase({ outcome: isDeleted ? "success" : "skipped" });
    if (isDeleted) deleted += 1;
    await clock.sleep(paceMs, signal).catch(() => {}); // Rejects only on abort.
    if (signal.aborted) return;
  }
  if (deleted > 0) log.info(`${deleted} CiliumEndpoints without pods were deleted`);
}

/** The two lists do not come at the same moment, so the server is asked about the pod, and only what was judged is deleted. */
async function deleteOrphan({ writer }: DutyWorld, row: Readonly<EndpointRow>, signal: AbortSignal): Promise<boolean> {
  const { namespace, name, uid, resourceVersion } = row;
  if ((await writer.get(resources.pods, { namespace, name }, { signal })) !== undefined) return false;
  try {
    return await writer.delete(resources.ciliumEndpoints, { namespace, name }, { uid, resourceVersion, signal });
  } catch (cause) {
    if (cause instanceof KubernetesError && cause.status === 409) return false; // Somebody cares for it.
    throw cause;
  }
}
