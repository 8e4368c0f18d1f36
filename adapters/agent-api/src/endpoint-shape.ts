import type { EndpointRow } from "@cilium-ts/endpoint";
import type {
  Endpoint,
  EndpointHealth,
  EndpointHealthStatus,
  EndpointPolicy,
  EndpointStatusChange,
  NodeAddressing,
  ProxyStatistics,
} from "./shapes.ts";

export interface EndpointShapeOptions {
  readonly hostAddressing: NodeAddressing;
  /** What only the policy engine knows: identities and rules. */
  readonly policy?: EndpointPolicy;
  /** What proxies saw of it. */
  readonly proxyStatistics?: readonly ProxyStatistics[];
}

/** An endpoint as the API shows it. */
export function endpointShape(row: EndpointRow, options: EndpointShapeOptions): Endpoint {
  const policy = {
    ...options.policy,
    id: row.identity,
    "policy-revision": row.policyRevision,
    "policy-enabled": policyEnabled(row),
  };
  const addressing = { ...(row.ipv4 !== undefined && { ipv4: row.ipv4 }), ...(row.ipv6 !== undefined && { ipv6: row.ipv6 }) };
  return {
    id: row.id,
    spec: { "label-configuration": {}, options: {} },
    status: {
      "external-identifiers": {
        "cni-attachment-id": row.cniAttachmentId,
        "container-id": row.containerId,
        "k8s-namespace": row.podNamespace,
        "k8s-pod-name": row.podName,
        "pod-name": `${row.podNamespace}/${row.podName}`,
      },
      ...(row.identity !== 0 && { identity: { id: row.identity, labels: row.labels } }),
      labels: { "security-relevant": row.labels, realized: {} },
      realized: { "label-configuration": {}, options: {} },
      networking: {
        addressing: [addressing],
        "host-addressing": options.hostAddressing,
        mac: row.mac,
        "host-mac": row.hostMac,
        "interface-name": row.hostDeviceName,
        "interface-index": row.ifindex,
        "container-interface-name": row.containerIfname,
      },
      policy: {
        spec: policy,
        realized: policy,
        "proxy-policy-revision": row.policyRevision,
        ...(options.proxyStatistics && { "proxy-statistics": options.proxyStatistics }),
      },
      log: endpointLogShape(row),
      state: row.state,
      health: endpointHealthShape(row),
      namedPorts: row.namedPorts,
    },
  };
}

/** The newest first. */
export function endpointLogShape(row: EndpointRow): readonly EndpointStatusChange[] {
  return row.log.map(({ atMs, code, state, message }) => ({ timestamp: new Date(atMs).toISOString(), code, state, message })).reverse();
}

export function endpointHealthShape(row: EndpointRow): EndpointHealth {
  const status = healthByState[row.state];
  return { overallHealth: status, bpf: status, policy: status, connected: row.state !== "disconnecting" && row.state !== "disconnected" };
}

/** What was enforced before goes on being enforced while something newer is on its way. */
const healthByState: Readonly<Record<EndpointRow["state"], EndpointHealthStatus>> = {
  "waiting-for-identity": "Bootstrap",
  "waiting-to-regenerate": "Pending",
  regenerating: "Pending",
  restoring: "Pending",
  ready: "OK",
  "not-ready": "Warning",
  disconnecting: "Disabled",
  disconnected: "Disabled",
  invalid: "Failure",
};

function policyEnabled(row: EndpointRow): "none" | "ingress" | "egress" | "both" {
  if (row.ingressEnforced) return row.egressEnforced ? "both" : "ingress";
  return row.egressEnforced ? "egress" : "none";
}
