import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type BpfMap, openKernel } from "@cilium-ts/kernel";
import { type KubernetesClient, type KubernetesObject, resources } from "@cilium-ts/kubernetes";
import type { Lab } from "@cilium-ts/lab";
import { call } from "./bench-pods.ts";

const signal = new AbortController().signal;

export function policyObject(name: string, spec: object): KubernetesObject {
  return { metadata: { namespace: "default", name }, ...spec };
}

/** Rules that select every pod of the benchmark, 50 in each object. */
export async function loadRules(client: KubernetesClient, count: number): Promise<void> {
  if (count === 1) return;
  for (let first = 0; first < count; first += 50) {
    const specs = Array.from({ length: 50 }, (_, offset) => {
      const rule = first + offset;
      return {
        endpointSelector: { matchLabels: { bench: "yes" } },
        ingress: [
          { fromCIDR: [`198.18.${rule >> 8}.${rule & 255}/32`], toPorts: [{ ports: [{ port: String(1_000 + rule), protocol: "TCP" }] }] },
        ],
      };
    });
    await client.create(resources.ciliumNetworkPolicies, policyObject(`load-${first}`, { specs }), { signal });
  }
  await delay(3_000);
}

/** From the write of the object to the last of the endpoints' rows in the kernel. */
export async function policyChanges(lab: Lab, client: KubernetesClient, endpoints: number, repeats: number): Promise<number[]> {
  const kernel = openKernel();
  using map = kernel.openPinnedMap(join(lab.node().directory, "bpf/maps/endpoints"));
  const ids = await endpointIds(lab, endpoints);
  const matchLabels = endpoints === 25 ? { subject: "first" } : { bench: "yes" };
  const name = `change-${endpoints}`;
  const times: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const port = String(9_000 + repeat);
    const spec = { endpointSelector: { matchLabels }, ingress: [{ toPorts: [{ ports: [{ port, protocol: "TCP" }] }] }] };
    const before = policySets(map, ids);
    const startedAt = performance.now();
    await client.patch(
      resources.ciliumNetworkPolicies,
      { namespace: "default", name },
      { type: "apply", body: policyObject(name, { spec }), force: true },
      { signal },
    );
    for (const end = Date.now() + 20_000; policySets(map, ids).some((set, index) => set === before[index]); await delay(0)) {
      if (Date.now() > end) throw new Error(`a policy did not reach all of ${endpoints} endpoints within 20 s`);
    }
    times.push(performance.now() - startedAt);
    await delay(300);
  }
  await client.delete(resources.ciliumNetworkPolicies, { namespace: "default", name }, { signal });
  await delay(500);
  return times;
}

async function endpointIds(lab: Lab, count: number): Promise<number[]> {
  const { body } = await call(lab.node().socketPath, "GET", "/v1/endpoint");
  const list = body as Array<{ id: number; status: { identity: { labels: string[] } } }>;
  const wanted = list.filter(({ status }) => count !== 25 || status.identity.labels.includes("k8s:subject=first")).map(({ id }) => id);
  if (wanted.length !== count) throw new Error(`${count} endpoints were expected, ${wanted.length} are there`);
  return wanted;
}

/** Offset 8 of struct endpoint. */
function policySets(map: BpfMap, ids: readonly number[]): number[] {
  const key = new Uint8Array(4);
  const view = new DataView(key.buffer);
  return ids.map((id) => {
    view.setUint32(0, id, true);
    const row = map.lookup(key);
    return row === undefined ? 0 : new DataView(row.buffer, row.byteOffset).getUint32(8, true);
  });
}
