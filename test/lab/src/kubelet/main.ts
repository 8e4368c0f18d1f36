import { join } from "node:path";
import { openKubernetes, reflectIntoTable, resources } from "@cilium-ts/kubernetes";
import { reconcile, Table } from "@cilium-ts/state";
import { errorMessage, systemClock } from "@cilium-ts/std";
import { labDirectory } from "../lab-directory.ts";
import { readLab } from "../read-lab.ts";
import { CiliumPods, isPassing } from "./cilium-pods.ts";
import { type PodRow, podKey, podRowFrom } from "./pod-row.ts";
import { PodsOnNodes } from "./pods-on-nodes.ts";

const publishIntervalMs = 500;
/** Every so often what was published is published again. */
const publishesUntilRepeat = 60;

/** The kubelet of all nodes of one lab, named by the first argument: makes pods of objects that name a node. */
async function main(name: string, signal: AbortSignal): Promise<void> {
  const lab = readLab(name);
  if (lab === undefined) throw new Error(`there is no lab ${name}`);
  await using client = await openKubernetes({ kubeconfigPath: lab.kubeconfigPath, fieldManager: "lab-kubelet", userAgent: "lab-kubelet" });
  const pods = new Table<string, PodRow>({
    name: "pods",
    keyOf: podKey,
    sources: ["kubernetes"],
    equals: (one, other) => one.uid === other.uid,
  });
  const target = new PodsOnNodes({ root: lab.options.root, lab: name, directory: join(labDirectory(name), "kubelet"), client });
  await Promise.all([
    reflectIntoTable({
      client,
      resource: resources.pods,
      table: pods,
      source: "kubernetes",
      rowOf: podRowFrom,
      signal,
      clock: systemClock,
    }),
    reconcile({
      desired: pods,
      target,
      clock: systemClock,
      signal,
      retryDelayMs: (attempt) => Math.min(5_000, 100 * 2 ** attempt),
      resyncIntervalMs: 10_000,
      onResult: (key, failure) => {
        if (failure !== undefined) console.error(`${key ?? "pods"}: ${errorMessage(failure)}`);
      },
    }),
    publishCilium(name, new CiliumPods(client), signal),
  ]);
}

async function publishCilium(name: string, pods: CiliumPods, signal: AbortSignal): Promise<void> {
  for (let count = 1; !signal.aborted; count += 1) {
    const lab = readLab(name);
    try {
      if (lab !== undefined) await pods.publish(lab, signal);
    } catch (cause) {
      if (signal.aborted) return;
      if (!isPassing(cause)) throw cause;
      console.error(errorMessage(cause));
    }
    if (count % publishesUntilRepeat === 0) pods.forget();
    await systemClock.sleep(publishIntervalMs, signal).catch(() => {}); // Rejects only on abort.
  }
}

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
try {
  await main(process.argv[2] ?? "", stop.signal);
} catch (cause) {
  if (!stop.signal.aborted) {
    console.error(errorMessage(cause));
    process.exitCode = 1;
  }
}
