import { type KubernetesClient, listAt, recordAt, resources, textAt } from "@cilium-ts/kubernetes";
import type { PodContainer } from "@cilium-ts/kubernetes/exec";

/** The pod of a node's agent. */
export interface AgentPod extends PodContainer {
  readonly node: string;
  readonly ready: boolean;
}

/** In the order of their nodes' names. */
export async function listAgentPods(
  cluster: KubernetesClient,
  options: { readonly namespace: string; readonly signal: AbortSignal },
): Promise<AgentPod[]> {
  const { namespace, signal } = options;
  const pods = await cluster.list(resources.pods, { namespace, selector: { labels: "k8s-app=cilium" }, signal });
  return pods.items
    .map((pod) => {
      const conditions = listAt(recordAt(pod, "status"), "conditions");
      const ready = conditions.some((condition) => textAt(condition, "type") === "Ready" && textAt(condition, "status") === "True");
      const name = pod.metadata.name ?? "";
      return { namespace, pod: name, container: "cilium-agent", node: textAt(recordAt(pod, "spec"), "nodeName"), ready };
    })
    .sort((left, right) => (left.node < right.node ? -1 : 1));
}
