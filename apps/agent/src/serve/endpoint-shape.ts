import type { Endpoint, EndpointHealth, EndpointPolicy, EndpointPolicyEnabled, NodeAddressing } from "@cilium-ts/agent-api";
import type { EndpointRow } from "@cilium-ts/endpoint";
import type { ResolvedPolicy } from "@cilium-ts/policy";

/** An endpoint as the API shows it. */
export function endpointShape(row: EndpointRow, policy: ResolvedPolicy | undefined, hostAddressing: NodeAddressing): Endpoint {
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
      identity: { id: row.identity, labels: row.labels },
      labels: { "security-relevant": row.labels, realized: {} },
      networking: {
        addressing: [{ ...(row.ipv4 !== undefined && { ipv4: row.ipv4 }), ...(row.ipv6 !== undefined && { ipv6: row.ipv6 }) }],
        "host-addressing": hostAddressing,
        "host-mac": row.hostMac,
        mac: row.mac,
        "interface-name": row.hostDeviceName,
        "interface-index": row.ifindex,
        "container-interface-name": row.containerIfname,
      },
      policy: { realized: policyShape(row, policy), spec: policyShape(row, policy) },
      log: statusLog(row),
      state: row.state,
      health: healthShape(row),
      namedPorts: row.namedPorts,
    },
  };
}

export function statusLog(row: EndpointRow): Array<{ timestamp: string; code: "ok" | "failed"; message: string; state: EndpointRow["state"] }> {
  return row.log.map(({ atMs, code, message, state }) => ({ timestamp: new Date(atMs).toISOString(), code, message, state }));
}

export function healthShape(row: EndpointRow): EndpointHealth {
  switch (row.state) {
    case "ready":
      return { bpf: "OK", policy: "OK", connected: true, overallHealth: "OK" };
    case "not-ready":
    case "invalid":
      return { bpf: "Failure", policy: "Failure", connected: true, overallHealth: "Failure" };
    case "disconnecting":
    case "disconnected":
      return { bpf: "Disabled", policy: "Disabled", connected: false, overallHealth: "Disabled" };
    default:
      return { bpf: "Pending", policy: "Pending", connected: true, overallHealth: "Pending" };
  }
}

function policyShape(row: EndpointRow, policy: ResolvedPolicy | undefined): EndpointPolicy {
  const identities = (direction: "ingress" | "egress", deny: boolean): number[] => {
    const found = new Set<number>();
    for (const entry of policy?.entries ?? []) if (entry.direction === direction && entry.deny === deny) found.add(entry.identity);
    return [...found].sort((left, right) => left - right);
  };
  return {
    "policy-revision": row.policyRevision,
    id: row.identity,
    "policy-enabled": enabled(row),
    build: row.policySet,
    "allowed-ingress-identities": identities("ingress", false),
    "denied-ingress-identities": identities("ingress", true),
    "allowed-egress-identities": identities("egress", false),
    "denied-egress-identities": identities("egress", true),
  };
}

function enabled(row: EndpointRow): EndpointPolicyEnabled {
  if (row.ingressEnforced) return row.egressEnforced ? "both" : "ingress";
  return row.egressEnforced ? "egress" : "none";
}
