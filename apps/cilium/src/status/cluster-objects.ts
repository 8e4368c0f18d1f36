import {
  type KubernetesClient,
  type KubernetesObject,
  leaseFrom,
  podFrom,
  type Resource,
  recordAt,
  resources,
  textAt,
} from "@cilium-ts/kubernetes";

/** Objects of one page: a cluster's pods are never in memory all at once. */
const pageSize = 500;

export async function* listPages(
  cluster: KubernetesClient,
  resource: Resource,
  signal: AbortSignal,
): AsyncGenerator<readonly KubernetesObject[], void> {
  for (let continueToken: string | undefined; ; ) {
    const page = await cluster.list(resource, { limit: pageSize, signal, ...(continueToken !== undefined && { continueToken }) });
    yield page.items;
    continueToken = page.continueToken;
    if (continueToken === undefined) return;
  }
}

async function namesOf(cluster: KubernetesClient, resource: Resource, signal: AbortSignal): Promise<Set<string>> {
  const names = new Set<string>();
  for await (const page of listPages(cluster, resource, signal)) for (const object of page) names.add(keyOf(object));
  return names;
}

function keyOf({ metadata: { namespace = "", name = "" } }: KubernetesObject): string {
  return namespace === "" ? name : `${namespace}/${name}`;
}

export interface PodCounts {
  /** That live, and have a network of their own. */
  readonly all: number;
  readonly managed: number;
  /** Some of the others. */
  readonly unmanaged: readonly string[];
}

const unmanagedMax = 20;

/** Pods are Cilium's when they have a CiliumEndpoint. */
export async function countPods(cluster: KubernetesClient, signal: AbortSignal): Promise<PodCounts> {
  const endpoints = await namesOf(cluster, resources.ciliumEndpoints, signal);
  let all = 0;
  let managed = 0;
  const unmanaged: string[] = [];
  for await (const page of listPages(cluster, resources.pods, signal)) {
    for (const object of page) {
      const { hostNetwork, phase } = podFrom(object);
      if (hostNetwork || phase !== "Running") continue;
      all += 1;
      if (endpoints.has(keyOf(object))) managed += 1;
      else if (unmanaged.length < unmanagedMax) unmanaged.push(keyOf(object));
    }
  }
  return { all, managed, unmanaged };
}

export interface NodeCounts {
  readonly all: number;
  /** Nodes on which no agent has ever made itself known. */
  readonly withoutAgent: readonly string[];
}

export async function countNodes(cluster: KubernetesClient, signal: AbortSignal): Promise<NodeCounts> {
  const [nodes, ciliumNodes] = await Promise.all([
    namesOf(cluster, resources.nodes, signal),
    namesOf(cluster, resources.ciliumNodes, signal),
  ]);
  return { all: nodes.size, withoutAgent: [...nodes].filter((name) => !ciliumNodes.has(name)).sort() };
}

export interface Leader {
  readonly holder: string;
  readonly leaseMs: number;
  /** Of the holder's clock. */
  readonly renewedAtMs: number;
}

/** Which operator acts. Undefined: none ever did. */
export async function readLeader(
  cluster: KubernetesClient,
  options: { readonly namespace: string; readonly signal: AbortSignal },
): Promise<Leader | undefined> {
  const { namespace, signal } = options;
  const object = await cluster.get(resources.leases, { namespace, name: "cilium-operator-resource-lock" }, { signal });
  if (object === undefined) return undefined;
  const { holder, durationMs } = leaseFrom(object);
  return { holder, leaseMs: durationMs, renewedAtMs: Date.parse(textAt(recordAt(object, "spec"), "renewTime")) };
}
