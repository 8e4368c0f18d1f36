import { KubernetesError, resources } from "@cilium-ts/kubernetes";
import type { CiliumNodeRow } from "../cluster/rows.ts";
import { areSynced, type DutyWorld, inPasses } from "./duty.ts";

/**
 * Deletes CiliumNodes whose Node is gone, once it has been gone for a whole interval: a Node that is made anew finds its CiliumNode, and
 * with it its pod CIDRs. The annotation `cilium.io/do-not-gc: "true"` keeps one that never had a Node.
 */
export async function collectNodes(world: DutyWorld, intervalMs: number, signal: AbortSignal): Promise<void> {
  /** When each was first seen without its Node, by the monotonic clock. By uid. */
  const missingSinceMs = new Map<string, number>();
  const pass = (): Promise<void> => collect(world, { intervalMs, missingSinceMs, signal });
  await inPasses(world, { what: "the collection of CiliumNodes", intervalMs, signal, pass });
}

async function collect(
  world: DutyWorld,
  options: { readonly intervalMs: number; readonly missingSinceMs: Map<string, number>; readonly signal: AbortSignal },
): Promise<void> {
  const { cluster, monotonicMs } = world;
  const { intervalMs, missingSinceMs, signal } = options;
  const { ciliumNodes, nodes } = cluster;
  if (!(await areSynced([ciliumNodes, nodes], signal))) return;
  const failure = cluster.failure(ciliumNodes, nodes);
  if (failure !== undefined) throw new Error(failure);
  const missing = [...ciliumNodes.rows()].filter(({ name, isKept }) => !isKept && nodes.get(name) === undefined);
  const uids = new Set(missing.map(({ uid }) => uid));
  for (const uid of missingSinceMs.keys()) if (!uids.has(uid)) missingSinceMs.delete(uid);
  for (const row of missing) {
    const since = missingSinceMs.get(row.uid) ?? monotonicMs();
    missingSinceMs.set(row.uid, since);
    // Passes come an interval apart, and not quite exactly.
    if (monotonicMs() - since >= intervalMs * 0.9) await deleteOrphan(world, row, signal);
    if (signal.aborted) return;
  }
}

async function deleteOrphan({ writer, log, metrics }: DutyWorld, row: Readonly<CiliumNodeRow>, signal: AbortSignal): Promise<void> {
  const { name, uid } = row;
  if ((await writer.get(resources.nodes, { name }, { signal })) !== undefined) return;
  try {
    await writer.delete(resources.ciliumNodes, { name }, { uid, signal });
  } catch (cause) {
    if (cause instanceof KubernetesError && cause.status === 409) return; // Another has its name by now.
    throw cause;
  }
  metrics.nodesCollected.increase();
  log.info(`the CiliumNode ${name} was deleted: there is no Node of that name any more; its pod CIDRs are free`);
}
