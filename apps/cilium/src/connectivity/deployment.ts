import { UsageError } from "@cilium-ts/command-line";
import {
  type KubernetesClient,
  type KubernetesObject,
  listAt,
  podFrom,
  type Resource,
  recordAt,
  resources,
  textAt,
} from "@cilium-ts/kubernetes";
import type { Clock } from "@cilium-ts/std";
import { serverCommand } from "./in-pod.ts";
import { hostPort, type Place, type PlacePod, type Places, placePods, podPorts } from "./places.ts";
import type { TestNames } from "./scenario.ts";

export interface DeploymentOptions {
  readonly cluster: KubernetesClient;
  readonly clock: Clock;
  readonly names: TestNames;
  /** With Node and ping. */
  readonly image: string;
  /** One or two, on which there is an agent. */
  readonly nodes: readonly string[];
  readonly startTimeoutMs: number;
}

/** By which everything that the test makes is known. */
const ownLabels = { "app.kubernetes.io/managed-by": "cilium-connectivity-test" };
const ownSelector = "app.kubernetes.io/managed-by=cilium-connectivity-test";
const pollIntervalMs = 100;

/** The pods of the test, and the policies that it puts in force. */
export class Deployment {
  readonly #options: DeploymentOptions;

  constructor(options: DeploymentOptions) {
    this.#options = options;
  }

  /** What an earlier run left is removed first. */
  async start(signal: AbortSignal): Promise<Places> {
    const { cluster, names, nodes } = this.#options;
    await this.remove(signal);
    for (const name of [names.namespace, names.otherNamespace])
      await cluster.create(resources.namespaces, { metadata: { name, labels: ownLabels } }, { signal });
    const pods = placePods.filter(({ node }) => node === "first" || nodes.length > 1);
    await Promise.all(pods.map((pod) => cluster.create(resources.pods, this.#podObject(pod), { signal })));
    const places = new Map<Place["name"], Place>();
    for (const pod of pods) places.set(pod.place, await this.#waitForPod(pod, signal));
    const { worldIPv4, worldIPv6 } = names;
    if (worldIPv4 !== "" || worldIPv6 !== "") places.set("world", { name: "world", pod: undefined, ipv4: worldIPv4, ipv6: worldIPv6 });
    return places;
  }

  async apply(objects: readonly KubernetesObject[], signal: AbortSignal): Promise<void> {
    for (const object of objects) {
      const { resource, body } = this.#own(object);
      await this.#options.cluster.create(resource, body, { signal });
    }
  }

  /** Absent things are fine. */
  async withdraw(objects: readonly KubernetesObject[], signal: AbortSignal): Promise<void> {
    for (const object of objects) {
      const { resource, body } = this.#own(object);
      const { namespace = "", name = "" } = body.metadata;
      await this.#options.cluster.delete(resource, { namespace, name }, { signal });
    }
  }

  /** Everything that carries the test's label, and waits until it is gone. */
  async remove(signal: AbortSignal): Promise<void> {
    const { cluster, names } = this.#options;
    for (const resource of [resources.ciliumClusterwideNetworkPolicies, resources.ciliumCidrGroups]) {
      const { items } = await cluster.list(resource, { selector: { labels: ownSelector }, signal });
      for (const { metadata } of items) await cluster.delete(resource, { name: metadata.name ?? "" }, { signal });
    }
    const namespaces = [names.namespace, names.otherNamespace];
    for (const name of namespaces) await this.#removeNamespace(name, signal);
    for (const name of namespaces) {
      await this.#until(`the namespace ${name} to go`, signal, async () =>
        (await cluster.get(resources.namespaces, { name }, { signal })) === undefined ? true : undefined,
      );
    }
  }

  /** Only one that a test made: whoever has one of that name by chance keeps it. */
  async #removeNamespace(name: string, signal: AbortSignal): Promise<void> {
    const { cluster } = this.#options;
    const found = await cluster.get(resources.namespaces, { name }, { signal });
    if (found === undefined) return;
    if (found.metadata.labels?.["app.kubernetes.io/managed-by"] !== ownLabels["app.kubernetes.io/managed-by"])
      throw new UsageError(`the namespace ${name} exists and is not the test's; --test-namespace names another`);
    await cluster.delete(resources.namespaces, { name }, { signal });
  }

  #own(object: KubernetesObject): { resource: Resource; body: KubernetesObject } {
    const resource = Object.values(resources).find(({ kind }) => kind === object.kind);
    if (resource === undefined) throw new RangeError(`scenarios have no objects of kind ${object.kind}`);
    const namespace = resource.namespaced ? { namespace: this.#options.names.namespace } : {};
    return { resource, body: { ...object, metadata: { ...object.metadata, ...namespace, labels: ownLabels } } };
  }

  #podObject(pod: PlacePod): KubernetesObject {
    const { image, nodes, names } = this.#options;
    const ports = pod.hostNetwork ? [`tcp/${hostPort}`] : podPorts;
    return {
      metadata: {
        name: pod.name,
        namespace: pod.elsewhere ? names.otherNamespace : names.namespace,
        labels: { ...pod.labels, ...ownLabels },
      },
      spec: {
        nodeName: pod.node === "first" ? nodes[0] : nodes[1],
        hostNetwork: pod.hostNetwork,
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: "main",
            image,
            command: serverCommand(ports),
            ...(!pod.hostNetwork && { ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }] }),
          },
        ],
      },
    };
  }

  async #waitForPod(pod: PlacePod, signal: AbortSignal): Promise<Place> {
    const { cluster, names } = this.#options;
    const namespace = pod.elsewhere ? names.otherNamespace : names.namespace;
    let last: KubernetesObject | undefined;
    const what = (): string => `the pod ${namespace}/${pod.name} to be ready${troubleOf(last)}`;
    const found = await this.#until(what, signal, async () => {
      last = await cluster.get(resources.pods, { namespace, name: pod.name }, { signal });
      const conditions = listAt(recordAt(last, "status"), "conditions");
      const ready = conditions.some((condition) => textAt(condition, "type") === "Ready" && textAt(condition, "status") === "True");
      return ready ? last : undefined;
    });
    const { ips, nodeName, hostNetwork } = podFrom(found);
    return {
      name: pod.place,
      pod: { namespace, name: pod.name, node: nodeName, hostNetwork },
      ipv4: ips.find((ip) => ip.includes(".")) ?? "",
      ipv6: ips.find((ip) => ip.includes(":")) ?? "",
    };
  }

  async #until<T>(what: string | (() => string), signal: AbortSignal, look: () => Promise<T | undefined>): Promise<T> {
    const { clock, startTimeoutMs } = this.#options;
    const endMs = clock.nowMs() + startTimeoutMs;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (clock.nowMs() >= endMs)
        throw new UsageError(`waited ${startTimeoutMs / 1000} s in vain for ${typeof what === "string" ? what : what()}`);
      await clock.sleep(pollIntervalMs, signal);
    }
  }
}

function troubleOf(pod: KubernetesObject | undefined): string {
  const [state] = listAt(recordAt(pod, "status"), "containerStatuses");
  const waiting = recordAt(recordAt(state, "state"), "waiting");
  const reason = textAt(waiting, "reason");
  return reason === "" ? "" : ` (${reason}: ${textAt(waiting, "message")})`;
}
