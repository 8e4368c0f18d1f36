import type { AddressBytes } from "@cilium-ts/net";
import type { FlowContext, FlowEndpoint, RemotePod } from "./context.ts";

const noLabels: readonly string[] = [];
const clusterLabel = "k8s:io.cilium.k8s.policy.cluster=";
/** Identities whose row is kept. When full it starts again: a row costs little to make. */
const remoteCountMax = 4096;

/** Says who is behind an address, with the same object for the same answer, so that its encoded form can be kept. */
export class EndpointResolver {
  readonly context: FlowContext;
  readonly #remotes = new Map<number, FlowEndpoint>();
  readonly #remotePods = new WeakMap<RemotePod, FlowEndpoint>();
  readonly #reidentified = new WeakMap<FlowEndpoint, FlowEndpoint>();

  constructor(context: FlowContext) {
    this.context = context;
  }

  /**
   * An endpoint of this node, or whoever has the identity. The identity that the datapath used wins over what the tables say,
   * because the datapath judged by it; 0 means that it did not tell. The id finds an endpoint where no address is known.
   */
  resolve(address: AddressBytes | undefined, id: number, datapathIdentity: number, atNs: number): FlowEndpoint | undefined {
    const { context } = this;
    const byId = address === undefined && id !== 0 ? context.endpointById(id, atNs) : undefined;
    const local = address === undefined ? byId : context.endpointByAddress(address, atNs);
    if (local !== undefined) {
      return datapathIdentity === 0 || datapathIdentity === local.identity ? local : this.#withIdentity(local, datapathIdentity, atNs);
    }
    if (address === undefined && datapathIdentity === 0) return undefined;
    const identity = datapathIdentity === 0 && address !== undefined ? context.identityByAddress(address, atNs) : datapathIdentity;
    const labels = context.identityLabels(identity, atNs) ?? noLabels;
    const pod = address === undefined ? undefined : context.remotePodByAddress?.(address, atNs);
    return pod === undefined ? this.#remote(identity, labels) : this.#remotePod(pod, identity, labels);
  }

  #remotePod(pod: RemotePod, identity: number, labels: readonly string[]): FlowEndpoint {
    const known = this.#remotePods.get(pod);
    if (known !== undefined && known.identity === identity && known.labels === labels) return known;
    const remote = { id: 0, identity, clusterName: clusterOf(labels), ...pod, labels, workloads: [] };
    this.#remotePods.set(pod, remote);
    return remote;
  }

  #remote(identity: number, labels: readonly string[]): FlowEndpoint {
    const known = this.#remotes.get(identity);
    if (known !== undefined && known.labels === labels) return known;
    if (this.#remotes.size >= remoteCountMax) this.#remotes.clear();
    const remote = { id: 0, identity, clusterName: clusterOf(labels), namespace: "", labels, podName: "", workloads: [] };
    this.#remotes.set(identity, remote);
    return remote;
  }

  #withIdentity(endpoint: FlowEndpoint, identity: number, atNs: number): FlowEndpoint {
    const labels = this.context.identityLabels(identity, atNs) ?? endpoint.labels;
    const known = this.#reidentified.get(endpoint);
    if (known !== undefined && known.identity === identity && known.labels === labels) return known;
    const changed = { ...endpoint, identity, labels };
    this.#reidentified.set(endpoint, changed);
    return changed;
  }
}

function clusterOf(labels: readonly string[]): string {
  for (const label of labels) if (label.startsWith(clusterLabel)) return label.slice(clusterLabel.length);
  return "";
}
