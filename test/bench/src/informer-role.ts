import { setTimeout as delay } from "node:timers/promises";
import { openKubernetes, type Pod, podFrom, reflectIntoTable, resources } from "@cilium-ts/kubernetes";
import { Table } from "@cilium-ts/state";
import { systemClock } from "@cilium-ts/std";

// A process that mirrors all pods and prints by how many MB its heap has grown: informer-role.ts KUBECONFIG COUNT

const [kubeconfigPath = "", count = "0"] = process.argv.slice(2);

function heapMegabytes(): number {
  for (let round = 0; round < 3; round += 1) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1e6;
}

const stop = new AbortController();
await using client = await openKubernetes({ kubeconfigPath });
const table = new Table<string, Pod>({ name: "pods", keyOf: (pod) => `${pod.namespace}/${pod.name}`, sources: ["pods"] });
// One list beforehand, so that what the client itself needs is not counted.
await client.list(resources.namespaces, { signal: stop.signal });
const before = heapMegabytes();
const mirrored = reflectIntoTable({
  client,
  resource: resources.pods,
  signal: stop.signal,
  clock: systemClock,
  table,
  source: "pods",
  rowOf: podFrom,
});
while (table.size < Number(count)) await delay(20);
await delay(500);
process.stdout.write(String(heapMegabytes() - before));
stop.abort();
await mirrored;
