import type { Label } from "./label.ts";
import { defaultLabelFilter, type LabelFilter } from "./label-filter.ts";
import { Labels } from "./labels.ts";

/** Keys that are derived from where a pod runs; all with source `k8s`. */
export const namespaceLabelKey = "io.kubernetes.pod.namespace";
export const namespaceMetaLabelPrefix = "io.cilium.k8s.namespace.labels.";
export const clusterLabelKey = "io.cilium.k8s.policy.cluster";
export const serviceAccountLabelKey = "io.cilium.k8s.policy.serviceaccount";

export interface PodLabelSources {
  readonly namespace: string;
  readonly podLabels: Readonly<Record<string, string>>;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  /** Undefined: none is set, as for pods that never had one. */
  readonly serviceAccount?: string;
  readonly cluster: string;
}

/**
 * The identity-relevant labels of a pod. What a pod claims about its namespace, cluster or service account is ignored: only the
 * cluster knows these, and policies trust them.
 */
export function labelsForPod(sources: PodLabelSources, filter: LabelFilter = defaultLabelFilter): Labels {
  return filter.apply(allLabelsForPod(sources));
}

/** As `labelsForPod`, with the labels that make no identity too: what a user is shown. */
export function allLabelsForPod(sources: PodLabelSources): Labels {
  const { namespace, podLabels, namespaceLabels, serviceAccount, cluster } = sources;
  const labels: Label[] = [];
  const add = (key: string, value: string): void => void labels.push({ source: "k8s", key, value });
  for (const [key, value] of Object.entries(podLabels)) if (!isDerived(key)) add(key, value);
  for (const [key, value] of Object.entries(namespaceLabels)) add(`${namespaceMetaLabelPrefix}${key}`, value);
  add(namespaceLabelKey, namespace);
  add(clusterLabelKey, cluster);
  if (serviceAccount !== undefined && serviceAccount !== "") add(serviceAccountLabelKey, serviceAccount);
  return Labels.of(labels);
}

function isDerived(key: string): boolean {
  return key === namespaceLabelKey || key.startsWith("io.cilium.k8s.");
}
