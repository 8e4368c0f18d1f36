import type { Label, Labels, Selector } from "@cilium-ts/labels";
import type { Layer7 } from "./layer7.ts";

export type Direction = "ingress" | "egress";

/** IP protocol numbers that rules can name; 0 is any. */
export const protocols = { any: 0, icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
export type Protocol = (typeof protocols)[keyof typeof protocols];

/** Classes of peers that have no labels of their own. */
export const entities = [
  "all",
  "world",
  "world-ipv4",
  "world-ipv6",
  "cluster",
  "host",
  "remote-node",
  "kube-apiserver",
  "ingress",
  "health",
  "init",
  "unmanaged",
  "none",
] as const;
export type Entity = (typeof entities)[number];

export type Peer =
  | { readonly kind: "endpoints"; readonly selector: Selector }
  | { readonly kind: "entity"; readonly entity: Entity }
  /** Addresses outside the cluster: inside `cidr` and outside every `except`. Canonical prefixes. */
  | { readonly kind: "cidr"; readonly cidr: string; readonly except: readonly string[] }
  /** As `cidr`, of every prefix in the group of that name, or in the groups whose labels match. A group that is not there has none. */
  | ({ readonly kind: "cidrGroups"; readonly except: readonly string[] } & ({ readonly name: string } | { readonly selector: Selector }))
  /**
   * What is behind services: the endpoints that a service selects, or the addresses of one that selects none. Services of one
   * namespace, or of any where none is given.
   */
  | ({ readonly kind: "services"; readonly namespace?: string } & ({ readonly name: string } | { readonly selector: Selector }))
  /** Addresses outside the cluster that have a name which the pattern means (`matchesPattern`), as far as names are learned. Canonical. */
  | { readonly kind: "fqdn"; readonly pattern: string }
  /** Nodes, this one too, by labels of source `node`. */
  | { readonly kind: "nodes"; readonly selector: Selector };

export type PortMatch =
  /** Protocol any with ports stands for TCP, UDP and SCTP. First 0 with last 0 is every port. Ports of ICMP are types. */
  | { readonly kind: "number"; readonly protocol: Protocol; readonly first: number; readonly last: number }
  /** A name that the endpoint receiving the traffic gives to one of its ports. */
  | { readonly kind: "name"; readonly protocol: Protocol; readonly name: string };

/** Ports of one item of a rule, with its place, so that a verdict can name it. */
export interface PortGroup {
  /** `ingress[0].toPorts[1]` */
  readonly path: string;
  readonly ports: readonly PortMatch[];
  /** Of what is allowed on these ports, a proxy lets through what this says. Never of a section that denies. */
  readonly layer7?: Layer7;
}

/** One item of an ingress or egress list. Peers and ports must both match. */
export interface RuleSection {
  /** `ingress[0]` */
  readonly path: string;
  /** Undefined: any peer. Empty: none. */
  readonly peers?: readonly Peer[];
  /**
   * What every endpoint named by selector in this direction must fulfil as well, in whatever rule that selects the same subject: of
   * allowing sections for those that allow, of denying ones for those that deny. Of itself it lets nobody in.
   */
  readonly requires?: readonly Selector[];
  /** Undefined: all protocols and ports. Empty: none. */
  readonly ports?: readonly PortGroup[];
}

/** The object that a rule was read from. */
export interface PolicyReference {
  /** `CiliumNetworkPolicy`; `reserved` for what the system itself allows. */
  readonly kind: string;
  /** Empty for cluster-wide objects. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: readonly Label[];
}

/** The place behind a verdict. */
export interface RuleOrigin {
  readonly policy: PolicyReference;
  /** `ingress[0].toPorts[1]`; empty for what the system itself allows. */
  readonly path: string;
  /** Free text of the rule, carried into flows. */
  readonly log?: string;
}

export interface Rule {
  readonly policy: PolicyReference;
  /** Whom the rule is about. */
  readonly endpointSelector: Selector;
  /** A host policy: the selector is about nodes themselves, by the labels of their objects (source `k8s`), and about no endpoint. */
  readonly ofNodes?: true;
  readonly ingress: readonly RuleSection[];
  readonly ingressDeny: readonly RuleSection[];
  readonly egress: readonly RuleSection[];
  readonly egressDeny: readonly RuleSection[];
  /** Whether what no rule allows is dropped. Where the user said nothing: true when the direction has a section. */
  readonly enableDefaultDeny: { readonly ingress: boolean; readonly egress: boolean };
  readonly log?: string;
  /** Only audited: what the rule alone denies, or leaves unallowed, passes and is reported. What it allows is allowed. */
  readonly audit?: boolean;
  /** The rule stands in a tier of its own; then the lists above are empty, and it closes nothing. */
  readonly tier?: Tier;
}

/**
 * Rules that stand above or below all others. Admin rules come first: the first that matches accepts, denies, or passes the question
 * on. Baseline rules are asked last, where nothing else closes the direction.
 */
export interface Tier {
  readonly kind: "admin" | "baseline";
  /** 0 is asked first; equal ones by the key of the policy. */
  readonly priority: number;
  readonly ingress: readonly TierSection[];
  readonly egress: readonly TierSection[];
}

/** One rule of a tier; the first that matches decides. */
export interface TierSection extends RuleSection {
  readonly action: "accept" | "deny" | "pass";
}

/** A named list of prefixes that rules refer to. */
export interface CidrGroup {
  readonly name: string;
  /** Source `k8s`. */
  readonly labels: Labels;
  /** Canonical. */
  readonly cidrs: readonly string[];
}

/** A service as far as rules see it: they are about what is behind it, never about its own address. */
export interface PolicyService {
  readonly namespace: string;
  readonly name: string;
  /** Source `k8s`. */
  readonly labels: Labels;
  /** Of the endpoints behind it. Undefined: it selects none, and `addresses` says what is behind it. */
  readonly selector?: Selector;
  /** Canonical, of a service that selects no endpoints. */
  readonly addresses: readonly string[];
}

/** A port that an endpoint has given a name. */
export interface NamedPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}
