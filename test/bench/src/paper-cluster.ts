import { setTimeout as delay } from "node:timers/promises";
import { ciliumEndpointObject, ciliumIdentityObject, ciliumNodeObject, type KubernetesClient, resources } from "@cilium-ts/kubernetes";
import { Labels } from "@cilium-ts/labels";
import { percentile } from "./report.ts";

const { signal } = new AbortController();
const atOnce = 64;
const namespace = "default";
/** Numbers of the cluster's own identities begin with this. */
const firstIdentity = 1_000;

export interface PaperSize {
  readonly nodes: number;
  readonly pods: number;
  readonly identities: number;
}

/** Nodes and pods that are objects only, written as agents and a scheduler would. */
export class PaperCluster {
  /** What agents would have asked the API server for, and all that was asked by us. */
  asked = 0;
  requests = 0;
  readonly #client: KubernetesClient;
  readonly #size: PaperSize;
  /** Names of the pods there are, the oldest first; the number is in the name. */
  readonly #pods: number[] = [];
  #next = 0;

  constructor(client: KubernetesClient, size: PaperSize) {
    this.#client = client;
    this.#size = size;
  }

  async load(): Promise<void> {
    const { nodes, identities, pods } = this.#size;
    await inParallel(nodes - 1, (index) => this.#createNode(index + 1));
    await inParallel(identities, (index) => this.#createIdentity(index));
    await inParallel(pods, async () => {
      const pod = this.#next++;
      this.#pods.push(pod);
      await this.#createPod(pod);
      await this.#client.create(resources.ciliumEndpoints, this.#endpoint(pod), { signal });
    });
  }

  /** So many pods a second go, and as many come. Returns the 99th percentile of how late each was: a machine that cannot keep up shows here. */
  async churn({ perSecond, seconds }: { readonly perSecond: number; readonly seconds: number }): Promise<number> {
    this.requests = 0;
    const startedAt = performance.now();
    const lateness: number[] = [];
    const running = new Set<Promise<void>>();
    for (let count = 0; count < perSecond * seconds; count += 1) {
      const dueMs = startedAt + (1_000 * count) / perSecond;
      await delay(Math.max(0, dueMs - performance.now()));
      const change = this.#replaceOne().then(() => void lateness.push(performance.now() - dueMs));
      running.add(change);
      change.finally(() => running.delete(change));
    }
    await Promise.all(running);
    return percentile(lateness, 0.99);
  }

  /** The requests of the two agents, of the one that removes and of the one that adds; a scheduler and a kubelet see to the pods. */
  async #replaceOne(): Promise<void> {
    const gone = this.#pods.shift() ?? 0;
    const name = { namespace, name: nameOf(gone) };
    await this.#client.delete(resources.pods, name, { signal });
    const object = await this.#client.get(resources.ciliumEndpoints, name, { signal });
    if (object !== undefined) await this.#client.delete(resources.ciliumEndpoints, name, { signal });
    const pod = this.#next++;
    this.#pods.push(pod);
    await this.#createPod(pod);
    const body = this.#endpoint(pod);
    await this.#client.patch(resources.ciliumEndpoints, { namespace, name: nameOf(pod) }, { type: "apply", body, force: true }, { signal });
    this.asked += object === undefined ? 2 : 3;
    this.requests += object === undefined ? 4 : 5;
  }

  async #createNode(index: number): Promise<void> {
    const name = `paper${index}`;
    await this.#client.create(resources.nodes, { metadata: { name } }, { signal });
    const addresses = [
      { type: "InternalIP", ip: addressOfNode(index) },
      { type: "CiliumInternalIP", ip: `10.${64 + (index >> 8)}.${index & 255}.1` },
    ];
    const podCIDRs = [`10.${64 + (index >> 8)}.${index & 255}.0/24`, `${ipv6Of(index, 0)}/120`];
    const node = { name, labels: {}, addresses, podCIDRs, healthIPv4: "", healthIPv6: "", bootId: "" };
    await this.#client.create(resources.ciliumNodes, ciliumNodeObject(node, ""), { signal });
  }

  async #createIdentity(index: number): Promise<void> {
    const object = ciliumIdentityObject({ id: firstIdentity + index, labels: labelsOf(index) });
    await this.#client.create(resources.ciliumIdentities, object, { signal });
  }

  async #createPod(pod: number): Promise<void> {
    const metadata = { namespace, name: nameOf(pod), labels: { app: `app${pod % this.#size.identities}` } };
    const spec = { nodeName: `paper${this.#nodeOf(pod)}`, containers: [{ name: "main", image: "paper.invalid/paper" }] };
    await this.#client.create(resources.pods, { metadata, spec }, { signal });
  }

  #endpoint(pod: number): ReturnType<typeof ciliumEndpointObject> {
    const { nodes, identities } = this.#size;
    const node = this.#nodeOf(pod);
    const host = 2 + (Math.floor(pod / (nodes - 1)) % 250);
    const containerId = `c${pod}`.padEnd(64, "0");
    return ciliumEndpointObject({
      id: host,
      podNamespace: namespace,
      podName: nameOf(pod),
      podUid: "",
      podLabels: { app: `app${pod % identities}` },
      containerId,
      cniAttachmentId: `${containerId}:eth0`,
      identity: firstIdentity + (pod % identities),
      identityLabels: labelsOf(pod % identities).format(),
      ipv4: `10.${64 + (node >> 8)}.${node & 255}.${host}`,
      ipv6: ipv6Of(node, host),
      nodeAddress: addressOfNode(node),
      state: "ready",
      namedPorts: [{ name: "http", port: 8_080, protocol: "TCP" }],
      serviceAccount: "",
      ingressEnforced: true,
      egressEnforced: false,
    });
  }

  /** From 1; the first node of all is real. */
  #nodeOf(pod: number): number {
    return 1 + (pod % (this.#size.nodes - 1));
  }
}

function nameOf(pod: number): string {
  return `pod-${pod}`;
}

function addressOfNode(index: number): string {
  return `172.20.${index >> 8}.${index & 255}`;
}

/** Of the last 24 bits of the operator's pool, the last 8 are the node's. */
function ipv6Of(node: number, host: number): string {
  const bits = ((0x8000 + node) << 8) | host;
  return `fd00::${(bits >>> 16).toString(16)}:${(bits & 0xffff).toString(16)}`;
}

function labelsOf(index: number): Labels {
  const texts = [`k8s:app=app${index}`, "k8s:io.cilium.k8s.policy.cluster=default", `k8s:io.kubernetes.pod.namespace=${namespace}`];
  return Labels.parse(texts);
}

async function inParallel(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
