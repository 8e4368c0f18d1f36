import { type KubernetesClient, KubernetesError, type KubernetesObject, listAt, recordAt, resources, textAt } from "@cilium-ts/kubernetes";

/** A program of Cilium, and how a cluster runs it. */
export interface Component {
  /** Of the DaemonSet or the Deployment. */
  readonly name: string;
  readonly title: string;
  readonly kind: "DaemonSet" | "Deployment";
  readonly selector: string;
  /** Cilium works without the others. */
  readonly required: boolean;
}

/** In the order in which they are shown. */
export const components: readonly Component[] = [
  { name: "cilium", title: "Cilium", kind: "DaemonSet", selector: "k8s-app=cilium", required: true },
  { name: "cilium-operator", title: "Operator", kind: "Deployment", selector: "io.cilium/app=operator", required: true },
  { name: "cilium-envoy", title: "Envoy DaemonSet", kind: "DaemonSet", selector: "k8s-app=cilium-envoy", required: false },
  { name: "hubble-relay", title: "Hubble Relay", kind: "Deployment", selector: "k8s-app=hubble-relay", required: false },
  { name: "hubble-ui", title: "Hubble UI", kind: "Deployment", selector: "k8s-app=hubble-ui", required: false },
  { name: "clustermesh-apiserver", title: "ClusterMesh", kind: "Deployment", selector: "k8s-app=clustermesh-apiserver", required: false },
];

export interface ComponentPod {
  readonly name: string;
  readonly node: string;
  readonly phase: string;
  readonly containers: readonly string[];
  /** Of its containers. */
  readonly images: readonly string[];
  /** What keeps a container from running: `CrashLoopBackOff`. */
  readonly troubles: readonly string[];
}

export interface ComponentState {
  readonly component: Component;
  /** Undefined: the cluster does not run it. */
  readonly replicas:
    | { readonly desired: number; readonly ready: number; readonly available: number; readonly unavailable: number }
    | undefined;
  readonly pods: readonly ComponentPod[];
}

export async function readComponent(
  cluster: KubernetesClient,
  component: Component,
  options: { readonly namespace: string; readonly signal: AbortSignal },
): Promise<ComponentState> {
  const { namespace, signal } = options;
  const resource = component.kind === "DaemonSet" ? resources.daemonSets : resources.deployments;
  const [workload, pods] = await Promise.all([
    cluster.get(resource, { namespace, name: component.name }, { signal }).catch(absentWhereUnknown),
    cluster.list(resources.pods, { namespace, selector: { labels: component.selector }, signal }),
  ]);
  return { component, replicas: workload === undefined ? undefined : replicasOf(workload), pods: pods.items.map(podOf) };
}

/** A server that has no such resource, as one of CRDs alone, runs no such workload either. */
function absentWhereUnknown(cause: unknown): undefined {
  if (cause instanceof KubernetesError && cause.status === 404) return undefined;
  throw cause;
}

function replicasOf(workload: KubernetesObject): NonNullable<ComponentState["replicas"]> {
  const status = recordAt(workload, "status");
  const number = (name: string): number | undefined => (typeof status[name] === "number" ? status[name] : undefined);
  const wanted = recordAt(workload, "spec").replicas;
  const desired = number("desiredNumberScheduled") ?? (typeof wanted === "number" ? wanted : (number("replicas") ?? 1));
  const available = number("numberAvailable") ?? number("availableReplicas") ?? 0;
  const ready = number("numberReady") ?? number("readyReplicas") ?? 0;
  return { desired, ready, available, unavailable: number("numberUnavailable") ?? number("unavailableReplicas") ?? desired - available };
}

function podOf(object: KubernetesObject): ComponentPod {
  const spec = recordAt(object, "spec");
  const status = recordAt(object, "status");
  const states = [...listAt(status, "initContainerStatuses"), ...listAt(status, "containerStatuses")];
  return {
    name: object.metadata.name ?? "",
    node: textAt(spec, "nodeName"),
    phase: textAt(status, "phase") || "Pending",
    containers: listAt(spec, "containers").map((container) => textAt(container, "name")),
    images: listAt(spec, "containers").map((container) => textAt(container, "image")),
    troubles: states.flatMap((state) => {
      const waiting = recordAt(recordAt(state, "state"), "waiting");
      const reason = textAt(waiting, "reason");
      if (reason === "" || reason === "ContainerCreating" || reason === "PodInitializing") return [];
      return [
        `container ${textAt(state, "name")} waits: ${reason}${textAt(waiting, "message") === "" ? "" : `, ${textAt(waiting, "message")}`}`,
      ];
    }),
  };
}
