import { type PodIPPool, poolSelectorLabels } from "@cilium-ts/kubernetes";

/** What decides of which pools a pod gets its addresses. */
export interface PodPlacement {
  readonly namespace: string;
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly namespaceAnnotations: Readonly<Record<string, string>>;
  readonly namespaceLabels: Readonly<Record<string, string>>;
}

export type PoolChoice = { readonly kind: "chosen"; readonly pool: string } | { readonly kind: "refused"; readonly problem: string };

const poolAnnotation = "ipam.cilium.io/ip-pool";
const familyAnnotations = { ipv4: "ipam.cilium.io/ipv4-pool", ipv6: "ipam.cilium.io/ipv6-pool" } as const;
const requireAnnotation = "ipam.cilium.io/require-pool-match";

/**
 * As Cilium chooses: what the pod's annotations name, or those of its namespace, the family's own before the general one; else the one
 * pool whose selectors match; else the default pool, unless pod or namespace refuse that.
 */
export function choosePool(
  pod: PodPlacement | undefined,
  family: "ipv4" | "ipv6",
  { pools, defaultPool }: { readonly pools: Iterable<PodIPPool>; readonly defaultPool: string },
): PoolChoice {
  if (pod === undefined) return { kind: "chosen", pool: defaultPool };
  for (const annotations of [pod.annotations, pod.namespaceAnnotations]) {
    const named = annotations[familyAnnotations[family]] ?? annotations[poolAnnotation];
    if (named !== undefined && named !== "") return { kind: "chosen", pool: named };
  }
  const matching = [...pools].filter((pool) => pool[family] !== undefined && matches(pool, pod)).map(({ name }) => name);
  const [only] = matching;
  const who = `pod ${pod.namespace}/${pod.name}`;
  if (matching.length > 1) {
    const problem = `${who} matches the CiliumPodIPPools ${matching.sort().join(" and ")}; change their selectors, or name one in the annotation ${poolAnnotation}`;
    return { kind: "refused", problem };
  }
  if (only !== undefined) return { kind: "chosen", pool: only };
  if (pod.annotations[requireAnnotation] !== "true" && pod.namespaceAnnotations[requireAnnotation] !== "true")
    return { kind: "chosen", pool: defaultPool };
  return { kind: "refused", problem: `${who} matches no CiliumPodIPPool with ${family}, and ${requireAnnotation} forbids the default one` };
}

function matches({ podSelector, namespaceSelector }: PodIPPool, pod: PodPlacement): boolean {
  if (podSelector === undefined && namespaceSelector === undefined) return false;
  const { labels, namespace, name } = pod;
  const synthetic = { "io.kubernetes.pod.namespace": namespace, "io.kubernetes.pod.name": name };
  return (
    (podSelector?.matches(poolSelectorLabels({ ...labels, ...synthetic })) ?? true) &&
    (namespaceSelector?.matches(poolSelectorLabels(pod.namespaceLabels)) ?? true)
  );
}
