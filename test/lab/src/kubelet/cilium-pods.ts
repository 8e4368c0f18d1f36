import { AgentClient } from "@cilium-ts/agent-api";
import { type KubernetesClient, KubernetesError, type KubernetesObject, type Resource, resources } from "@cilium-ts/kubernetes";
import type { LabRecord } from "../lab.ts";
import { isRunning } from "../shell.ts";
import { labImage } from "./pod-row.ts";

const namespace = "kube-system";
const answerTimeoutMs = 2_000;

/** How the programs of a lab would be seen in a cluster that runs them as pods. */
interface Program {
  /** Of the DaemonSet or Deployment. */
  readonly workload: string;
  readonly pod: string;
  readonly container: string;
  readonly nodeName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ready: boolean;
}

const labelsOf: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  cilium: { "k8s-app": "cilium", "app.kubernetes.io/part-of": "cilium" },
  "cilium-operator": { "io.cilium/app": "operator", name: "cilium-operator", "app.kubernetes.io/part-of": "cilium" },
  "hubble-relay": { "k8s-app": "hubble-relay", "app.kubernetes.io/part-of": "cilium" },
};

/** Shows the lab's agents, operator and relay as the pods that a cluster would run them in: clients look for those. */
export class CiliumPods {
  readonly #client: KubernetesClient;
  /** What was published last, by kind and name. */
  readonly #published = new Map<string, string>();

  constructor(client: KubernetesClient) {
    this.#client = client;
  }

  async publish(lab: LabRecord, signal: AbortSignal): Promise<void> {
    const programs = await readPrograms(lab, signal);
    const wanted = new Set<string>();
    for (const program of programs) wanted.add(await this.#put(resources.pods, podObject(program), podStatus(program), signal));
    for (const [workload, own] of Map.groupBy(programs, (program) => program.workload)) {
      const daemonSet = workload === "cilium";
      const resource = daemonSet ? resources.daemonSets : resources.deployments;
      const ready = own.filter((program) => program.ready).length;
      const status = daemonSet ? daemonSetStatus(own.length, ready) : deploymentStatus(own.length, ready);
      await this.#put(resource, workloadObject(workload, daemonSet ? undefined : own.length), status, signal);
    }
    for (const key of this.#published.keys()) if (key.startsWith("Pod/") && !wanted.has(key)) await this.#delete(key, signal);
  }

  async #put(resource: Resource, object: KubernetesObject, status: object, signal: AbortSignal): Promise<string> {
    const name = object.metadata.name ?? "";
    const key = `${resource.kind}/${name}`;
    const text = JSON.stringify([object, status]);
    if (this.#published.get(key) === text) return key;
    await this.#client.patch(resource, { namespace, name }, { type: "apply", body: object, force: true }, { signal });
    await this.#client.patch(resource, { namespace, name }, { type: "merge", body: { status } }, { signal, subresource: "status" });
    this.#published.set(key, text);
    return key;
  }

  async #delete(key: string, signal: AbortSignal): Promise<void> {
    await this.#client.delete(resources.pods, { namespace, name: key.slice("Pod/".length) }, { signal });
    this.#published.delete(key);
  }

  /** After which all is published again: somebody may have deleted it. */
  forget(): void {
    this.#published.clear();
  }
}

/** A server that is away, or starts again: tried again a moment later. */
export function isPassing(cause: unknown): boolean {
  return cause instanceof KubernetesError;
}

async function readPrograms(lab: LabRecord, signal: AbortSignal): Promise<Program[]> {
  const running = (name: string): boolean => lab.daemons.some((daemon) => daemon.name === name && isRunning(daemon));
  const known = (name: string): boolean => lab.daemons.some((daemon) => daemon.name === name);
  const program = (workload: string, pod: string, container: string, nodeName: string, ready: boolean): Program => {
    return { workload, pod, container, nodeName, labels: labelsOf[workload] ?? {}, ready };
  };
  const agents = lab.nodes.map(async ({ name, socketPath }) => {
    const ready = running(`agent-${name}`) && (await isAgentReady(socketPath, signal));
    return program("cilium", `cilium-${name}`, "cilium-agent", name, ready);
  });
  const first = lab.nodes[0]?.name ?? "";
  return [
    ...(await Promise.all(agents)),
    ...(known("operator") ? [program("cilium-operator", "cilium-operator-lab", "cilium-operator", first, running("operator"))] : []),
    ...(known("relay") ? [program("hubble-relay", "hubble-relay-lab", "hubble-relay", first, running("relay"))] : []),
  ];
}

async function isAgentReady(socketPath: string, signal: AbortSignal): Promise<boolean> {
  using agent = new AgentClient({ socketPath });
  try {
    const { cilium } = await agent.health(AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)]), { brief: true });
    return cilium?.state === "Ok";
  } catch {
    return false; // It does not answer: that is what is asked for.
  }
}

function podObject({ pod, container, nodeName, labels }: Program): KubernetesObject {
  const spec = { nodeName, hostNetwork: true, containers: [{ name: container, image: labImage }] };
  return { metadata: { namespace, name: pod, labels }, spec };
}

function podStatus({ container, ready }: Program): object {
  const state = ready ? { running: {} } : { waiting: { reason: "NotReady", message: "the program does not answer" } };
  const containerStatuses = [{ name: container, image: labImage, imageID: "", ready, restartCount: 0, state }];
  return { phase: "Running", conditions: [{ type: "Ready", status: ready ? "True" : "False" }], containerStatuses };
}

function workloadObject(name: string, replicas: number | undefined): KubernetesObject {
  const labels = labelsOf[name] ?? {};
  const template = { metadata: { labels }, spec: { containers: [{ name, image: labImage }] } };
  const spec = { selector: { matchLabels: labels }, template, ...(replicas !== undefined && { replicas }) };
  return { metadata: { namespace, name, labels }, spec };
}

function daemonSetStatus(desired: number, ready: number): object {
  return {
    desiredNumberScheduled: desired,
    currentNumberScheduled: desired,
    numberMisscheduled: 0,
    numberReady: ready,
    numberAvailable: ready,
    numberUnavailable: desired - ready,
  };
}

function deploymentStatus(replicas: number, ready: number): object {
  return { replicas, readyReplicas: ready, availableReplicas: ready, unavailableReplicas: replicas - ready };
}
