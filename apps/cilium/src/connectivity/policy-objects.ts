import type { KubernetesObject } from "@cilium-ts/kubernetes";

/** The spec of a Cilium policy. */
export interface Rules {
  readonly endpointSelector: object;
  readonly [field: string]: unknown;
}

/** A direction in which nothing is let through: one rule that matches nobody. */
export const denyAll: readonly object[] = [{}];

export function cnp(name: string, spec: Rules): KubernetesObject {
  return { apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", metadata: { name: `cilium-test-${name}` }, spec };
}

/** For the pods of the test alone: whatever else runs in the cluster must not notice. */
export function clusterwide(name: string, namespace: string, labels: Readonly<Record<string, string>>, rules: object): KubernetesObject {
  const matchLabels = { ...labels, "k8s:io.kubernetes.pod.namespace": namespace };
  return {
    apiVersion: "cilium.io/v2",
    kind: "CiliumClusterwideNetworkPolicy",
    metadata: { name: `cilium-test-${name}` },
    spec: { endpointSelector: { matchLabels }, ...rules },
  };
}
