import type { CiliumNode } from "@cilium-ts/kubernetes";
import type { ProbedPath } from "./node-prober.ts";

/** Where a node's health endpoint answers; empty: not in that family. */
export interface HealthAddresses {
  readonly ipv4: string;
  readonly ipv6: string;
}

export interface OwnNode {
  readonly clusterName: string;
  readonly nodeName: string;
  readonly underlay: readonly string[];
  readonly health: HealthAddresses | undefined;
}

/** What there is to probe: every address of every node on the underlay, and its health endpoint's. IPv4 counts where there are both. */
export function probedPaths(own: OwnNode, others: readonly CiliumNode[]): ProbedPath[] {
  const { clusterName, nodeName, underlay, health } = own;
  return [
    ...pathsOf(`${clusterName}/${nodeName}`, underlay, health),
    ...others.flatMap((node) => {
      const addresses = node.addresses.filter(({ type }) => type === "InternalIP").map(({ ip }) => ip);
      return pathsOf(`${clusterName}/${node.name}`, addresses, { ipv4: node.healthIPv4, ipv6: node.healthIPv6 });
    }),
  ];
}

function pathsOf(nodeName: string, addresses: readonly string[], health: HealthAddresses | undefined): ProbedPath[] {
  const endpoint = health === undefined ? [] : [health.ipv4, health.ipv6].filter((address) => address !== "");
  const ordered = (list: readonly string[]): string[] =>
    [...list].sort((one, other) => Number(one.includes(":")) - Number(other.includes(":")));
  return (["node", "endpoint"] as const).flatMap((type) =>
    ordered(type === "node" ? addresses : endpoint).map((address, index) => ({ nodeName, type, address, primary: index === 0 })),
  );
}
