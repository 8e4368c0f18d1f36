import type { Labels } from "@cilium-ts/labels";
import type { CidrGroup, NamedPort, PolicyReference, PolicyService, Rule } from "@cilium-ts/policy";

/** Something that is valid and surely not meant. */
export interface Finding {
  readonly check: Check;
  readonly policy: PolicyReference;
  /** Of the field in the policy's object: `spec.ingress[0]`. */
  readonly path: string;
  /** One sentence. */
  readonly message: string;
}

export const checks = [
  "never-matches",
  "selects-nothing",
  "allows-nothing",
  "shadowed-by-deny",
  "repeated",
  "fqdn-without-dns",
  "cidr-of-pods",
  "cidr-of-node",
  "cidr-of-service",
  "no-such-group",
  "no-such-service",
  "no-such-namespace",
  "no-such-port",
  "nodes-cut-off",
] as const;
export type Check = (typeof checks)[number];

/** What is known beside the policies that are looked at. Without a cluster only what holds in every cluster is said. */
export interface LintContext {
  /** Other policies that are or will be in force. */
  readonly rules: readonly Rule[];
  /** Prefixes that pods have their addresses from. */
  readonly podCidrs: readonly string[];
  readonly cluster?: LintCluster;
}

export interface LintCluster {
  readonly pods: readonly { readonly labels: Labels; readonly namedPorts: readonly NamedPort[] }[];
  readonly namespaces: ReadonlySet<string>;
  readonly nodeAddresses: readonly string[];
  /** Labels of nodes, as policies about them see them. */
  readonly nodes: readonly { readonly labels: Labels }[];
  /** Nodes are connected by a tunnel. */
  readonly tunnelled: boolean;
  /** `namespace/name` of the service, by address of its own. */
  readonly serviceAddresses: ReadonlyMap<string, string>;
  readonly cidrGroups: readonly CidrGroup[];
  readonly services: readonly PolicyService[];
}
