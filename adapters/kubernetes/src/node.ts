import { formatAddress, parseAddress } from "@cilium-ts/net";
import { listAt, recordAt, textAt, textMapAt, textsAt } from "./fields.ts";
import type { KubernetesObject } from "./kubernetes-object.ts";

export interface NodeAddress {
  /** `InternalIP`, `ExternalIP`, `CiliumInternalIP`, … */
  readonly type: string;
  /** Canonical text. */
  readonly ip: string;
}

/** What we keep of a node. */
export interface Node {
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly addresses: readonly NodeAddress[];
  /** At most one of each family, as the cluster has given them. */
  readonly podCIDRs: readonly string[];
  readonly providerId: string;
  readonly bootId: string;
}

export function nodeFrom(object: KubernetesObject): Node {
  const { metadata } = object;
  const spec = recordAt(object, "spec");
  const status = recordAt(object, "status");
  const podCIDRs = textsAt(spec, "podCIDRs");
  const podCIDR = textAt(spec, "podCIDR");
  return {
    name: metadata.name ?? "",
    uid: metadata.uid ?? "",
    labels: textMapAt(metadata, "labels"),
    annotations: textMapAt(metadata, "annotations"),
    addresses: nodeAddresses(listAt(status, "addresses"), "address"),
    podCIDRs: podCIDRs.length > 0 || podCIDR === "" ? podCIDRs : [podCIDR],
    providerId: textAt(spec, "providerID"),
    bootId: textAt(recordAt(status, "nodeInfo"), "bootID"),
  };
}

/** Entries whose field of that name is an address; host names are left out. */
export function nodeAddresses(entries: readonly unknown[], field: "address" | "ip"): readonly NodeAddress[] {
  const addresses: NodeAddress[] = [];
  for (const entry of entries) {
    const address = parseAddress(textAt(entry, field));
    if (address !== undefined) addresses.push({ type: textAt(entry, "type"), ip: formatAddress(address) });
  }
  return addresses;
}
