import { listAt, recordAt, textAt, textMapAt, textsAt } from "./fields.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";
import { type NodeAddress, nodeAddresses } from "./node.ts";

/** A node as the agents and the operator see it. */
export interface CiliumNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `InternalIP` is where tunnels end; `CiliumInternalIP` is the node's own address inside its pod CIDR. */
  readonly addresses: readonly NodeAddress[];
  /** All that its pods' addresses are of: those of `spec.ipam.podCIDRs` first, then those of pools. */
  readonly podCIDRs: readonly string[];
  /** Addresses that answer health probes of other nodes; empty when there are none. */
  readonly healthIPv4: string;
  readonly healthIPv6: string;
  readonly bootId: string;
}

export function ciliumNodeFrom(object: KubernetesObject): CiliumNode {
  const spec = recordAt(object, "spec");
  const health = recordAt(spec, "health");
  return {
    name: object.metadata.name ?? "",
    labels: textMapAt(object.metadata, "labels"),
    addresses: nodeAddresses(listAt(spec, "addresses"), "ip"),
    podCIDRs: [...textsAt(recordAt(spec, "ipam"), "podCIDRs"), ...nodePoolsFrom(object).allocated.flatMap(({ cidrs }) => cidrs)],
    healthIPv4: textAt(health, "ipv4"),
    healthIPv6: textAt(health, "ipv6"),
    bootId: textAt(spec, "bootid"),
  };
}

/** What a node has of the pools of the mode multi-pool, and what it asks for. */
export interface NodePools {
  readonly allocated: ReadonlyArray<{ readonly pool: string; readonly cidrs: readonly string[] }>;
  /** Addresses of each family, those that it has included. */
  readonly requested: ReadonlyArray<{ readonly pool: string; readonly ipv4: number; readonly ipv6: number }>;
}

export function nodePoolsFrom(object: KubernetesObject): NodePools {
  const pools = recordAt(recordAt(recordAt(object, "spec"), "ipam"), "pools");
  return {
    allocated: listAt(pools, "allocated").map((entry) => ({ pool: textAt(entry, "pool"), cidrs: textsAt(entry, "cidrs") })),
    requested: listAt(pools, "requested").map((entry) => {
      const needed = recordAt(entry, "needed");
      return { pool: textAt(entry, "pool"), ipv4: countAt(needed, "ipv4-addrs"), ipv6: countAt(needed, "ipv6-addrs") };
    }),
  };
}

/** What the operator says is wrong with the node's share of addresses; empty: nothing. */
export function operatorProblem(object: KubernetesObject): string {
  return textAt(recordAt(recordAt(recordAt(object, "status"), "ipam"), "operator-status"), "error");
}

/** `spec.ipam.pools.allocated`: owned by the operator, who adds; the agent takes out what it does not need. */
export function podPoolClaims(allocated: NodePools["allocated"]): object[] {
  return allocated.map(({ pool, cidrs }) => ({ pool, cidrs: [...cidrs] }));
}

/** `spec.ipam.pools.requested`: owned by the agent. */
export function podPoolRequests(requested: NodePools["requested"]): object[] {
  return requested.map(({ pool, ipv4, ipv6 }) => ({ pool, needed: { "ipv4-addrs": ipv4, "ipv6-addrs": ipv6 } }));
}

function countAt(parent: Readonly<Record<string, unknown>>, field: string): number {
  const value = parent[field];
  return typeof value === "number" && Number.isInteger(value) && value > 0 ? value : 0;
}

/** The fields that an agent writes. The object goes when the Node of that uid goes. */
export function ciliumNodeObject(node: CiliumNode, nodeUid: string): KubernetesObject {
  const owner = { apiVersion: "v1", kind: "Node", name: node.name, uid: nodeUid };
  const health = { ...(node.healthIPv4 !== "" && { ipv4: node.healthIPv4 }), ...(node.healthIPv6 !== "" && { ipv6: node.healthIPv6 }) };
  return {
    metadata: { name: node.name, labels: node.labels, ...(nodeUid !== "" && { ownerReferences: [owner] }) },
    spec: {
      ...(node.bootId !== "" && { bootid: node.bootId }),
      addresses: node.addresses.map(({ type, ip }) => ({ type, ip })),
      ...(Object.keys(health).length > 0 && { health }),
      ipam: { podCIDRs: [...node.podCIDRs] },
    },
  };
}
