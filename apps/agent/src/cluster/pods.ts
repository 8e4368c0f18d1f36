import { type KubernetesClient, type Namespace, namespaceFrom, type Pod, podFrom, resources } from "@cilium-ts/kubernetes";
import { labelsForPod } from "@cilium-ts/labels";
import type { PodFacts, PodSource } from "../endpoints/pod-source.ts";

/** The pods of this node and all namespaces, as the API server last told. */
export class Pods implements PodSource {
  readonly #client: KubernetesClient;
  readonly #clusterName: string;
  readonly #pods = new Map<string, Pod>();
  readonly #namespaces = new Map<string, Namespace>();
  readonly #onChange: (namespace: string, name: string) => void;

  constructor(options: { client: KubernetesClient; clusterName: string; onChange: (namespace: string, name: string) => void }) {
    this.#client = options.client;
    this.#clusterName = options.clusterName;
    this.#onChange = options.onChange;
  }

  upsertPod(pod: Pod): void {
    this.#pods.set(`${pod.namespace}/${pod.name}`, pod);
    this.#onChange(pod.namespace, pod.name);
  }

  removePod(namespace: string, name: string): void {
    this.#pods.delete(`${namespace}/${name}`);
  }

  /** The labels of a namespace are part of its pods' identities. */
  upsertNamespace(namespace: Namespace): void {
    const before = this.#namespaces.get(namespace.name);
    this.#namespaces.set(namespace.name, namespace);
    if (JSON.stringify(before?.labels) === JSON.stringify(namespace.labels)) return;
    for (const pod of this.#pods.values()) if (pod.namespace === namespace.name) this.#onChange(pod.namespace, pod.name);
  }

  removeNamespace(name: string): void {
    this.#namespaces.delete(name);
  }

  pod(namespace: string, name: string): Pod | undefined {
    return this.#pods.get(`${namespace}/${name}`);
  }

  /** Undefined as long as its namespace is not known either: without the namespace's labels it would be somebody else. */
  known(namespace: string, name: string): PodFacts | undefined {
    const pod = this.pod(namespace, name);
    const own = this.#namespaces.get(namespace);
    return pod === undefined || own === undefined ? undefined : this.#factsOf(pod, own);
  }

  /** The runtime may be quicker than the watch, which may still speak of another pod of that name. */
  async find(namespace: string, name: string, uid: string, signal: AbortSignal): Promise<PodFacts | undefined> {
    const known = this.known(namespace, name);
    if (known !== undefined && (uid === "" || known.uid === uid)) return known;
    const [pod, own] = await Promise.all([
      this.#client.get(resources.pods, { namespace, name }, { signal }),
      this.#client.get(resources.namespaces, { name: namespace }, { signal }),
    ]);
    return pod === undefined ? undefined : this.#factsOf(podFrom(pod), own === undefined ? undefined : namespaceFrom(own));
  }

  #factsOf(pod: Pod, namespace: Namespace | undefined): PodFacts {
    const labels = labelsForPod({
      namespace: pod.namespace,
      podLabels: pod.labels,
      namespaceLabels: namespace?.labels ?? {},
      cluster: this.#clusterName,
      ...(pod.serviceAccount === "" ? {} : { serviceAccount: pod.serviceAccount }),
    });
    const { name, annotations } = pod;
    const placement = {
      namespace: pod.namespace,
      name,
      annotations,
      labels: pod.labels,
      namespaceAnnotations: namespace?.annotations ?? {},
      namespaceLabels: namespace?.labels ?? {},
    };
    return { uid: pod.uid, labels, placement, namedPorts: pod.namedPorts, workloads: pod.workloads, serviceAccount: pod.serviceAccount };
  }
}
