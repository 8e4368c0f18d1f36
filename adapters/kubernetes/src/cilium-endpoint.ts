import type { KubernetesObject } from "./kubernetes-object.ts";
import type { NamedPort } from "./pod.ts";

/** What of an endpoint its object shows to the cluster. */
export interface PublishedEndpoint {
  readonly id: number;
  readonly podNamespace: string;
  readonly podName: string;
  readonly podUid: string;
  readonly podLabels: Readonly<Record<string, string>>;
  readonly containerId: string;
  readonly cniAttachmentId: string;
  /** 0 until it is known: then the object has none. */
  readonly identity: number;
  /** `source:key=value`, sorted. */
  readonly identityLabels: readonly string[];
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** The address by which other nodes reach this one. */
  readonly nodeAddress: string;
  readonly state: string;
  readonly namedPorts: readonly NamedPort[];
  readonly serviceAccount: string;
  readonly ingressEnforced: boolean;
  readonly egressEnforced: boolean;
}

/** The CiliumEndpoint: it has the pod's name, and goes when the pod goes. It has no status subresource: all is written at once. */
export function ciliumEndpointObject(endpoint: PublishedEndpoint): KubernetesObject {
  const { podNamespace, podName, podUid, ipv4, ipv6 } = endpoint;
  const owner = { apiVersion: "v1", kind: "Pod", name: podName, uid: podUid };
  const addressing = { ...(ipv4 !== undefined && { ipv4 }), ...(ipv6 !== undefined && { ipv6 }) };
  return {
    metadata: {
      namespace: podNamespace,
      name: podName,
      labels: endpoint.podLabels,
      ...(podUid !== "" && { ownerReferences: [owner] }),
    },
    status: {
      id: endpoint.id,
      "external-identifiers": {
        "container-id": endpoint.containerId,
        "cni-attachment-id": endpoint.cniAttachmentId,
        "k8s-namespace": podNamespace,
        "k8s-pod-name": podName,
        "pod-name": `${podNamespace}/${podName}`,
      },
      ...(endpoint.identity !== 0 && { identity: { id: endpoint.identity, labels: [...endpoint.identityLabels].sort() } }),
      networking: { addressing: [addressing], node: endpoint.nodeAddress },
      encryption: {},
      policy: { ingress: policyState(endpoint.ingressEnforced), egress: policyState(endpoint.egressEnforced) },
      state: endpoint.state,
      ...(endpoint.namedPorts.length > 0 && { "named-ports": [...endpoint.namedPorts].sort(byName) }),
      ...(endpoint.serviceAccount !== "" && { "service-account": endpoint.serviceAccount }),
    },
  };
}

function policyState(enforcing: boolean): { enforcing: boolean; state: string } {
  return { enforcing, state: enforcing ? "enforcing" : "disabled" };
}

function byName(one: NamedPort, other: NamedPort): number {
  return one.name < other.name ? -1 : one.name > other.name ? 1 : 0;
}
