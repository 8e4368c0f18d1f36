import type { ClusterNodeStatus, NodeAddressing, NodeElement } from "@cilium-ts/agent-api";
import type { CiliumNode } from "@cilium-ts/kubernetes";

/** This node and those that it has heard of, by name. */
export function clusterNodesShape(options: {
  clusterName: string;
  nodeName: string;
  /** Of this node on the underlay. */
  addresses: readonly string[];
  podRanges: { ipv4: string; ipv6: string };
  others: readonly CiliumNode[];
}): ClusterNodeStatus {
  const { clusterName, nodeName, podRanges } = options;
  const others = options.others.map((node) =>
    element(`${clusterName}/${node.name}`, underlayOf(node), [...node.podCIDRs], "custom-resource"),
  );
  const self = element(`${clusterName}/${nodeName}`, options.addresses, [podRanges.ipv4, podRanges.ipv6], "local");
  const nodes = [self, ...others].sort((left, right) => ((left.name ?? "") < (right.name ?? "") ? -1 : 1));
  return { self: `${clusterName}/${nodeName}`, "nodes-added": nodes, "nodes-removed": [], "client-id": 0 };
}

function underlayOf(node: CiliumNode): string[] {
  return node.addresses.filter(({ type }) => type === "InternalIP" || type === "ExternalIP").map(({ ip }) => ip);
}

function element(name: string, addresses: readonly string[], podCIDRs: readonly string[], source: string): NodeElement {
  const of = (family: 4 | 6): NonNullable<NodeAddressing["ipv4"]> => {
    const own = (text: string): boolean => text.includes(":") === (family === 6);
    const ip = addresses.find(own);
    const range = podCIDRs.find(own);
    return {
      enabled: ip !== undefined || range !== undefined,
      ...(ip !== undefined && { ip }),
      ...(range !== undefined && { "alloc-range": range }),
    };
  };
  return { name, "primary-address": { ipv4: of(4), ipv6: of(6) }, source };
}
