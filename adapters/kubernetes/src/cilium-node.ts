import { listAt, recordAt, textAt, textMapAt, textsAt } from "./fields.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";
import { type NodeAddress, nodeAddresses } from "./node.ts";

/** A node as the agents and the operator see it. */
export interface CiliumNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `InternalIP` is where tunnels end; `CiliumInternalIP` is the node's own address inside its pod CIDR. */
  readonly addresses: readonly NodeAddress[];
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
    podCIDRs: textsAt(recordAt(spec, "ipam"), "podCIDRs"),
    healthIPv4: textAt(health, "ipv4"),
    healthIPv6: textAt(health, "ipv6"),
    bootId: textAt(spec, "bootid"),
  };
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
