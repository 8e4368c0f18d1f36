import type { Verdict } from "@cilium-ts/policy";

/** IP protocols by the names that people give them. */
export const explainedProtocols = ["TCP", "UDP", "SCTP", "ICMP", "ICMPv6"] as const;
export type ExplainedProtocol = (typeof explainedProtocols)[number];

/** Why two parties may or may not talk. `Remedy`: what the smallest policy is written as. */
export interface PolicyExplanation<Remedy> {
  readonly from: ExplainedParty;
  readonly to: ExplainedParty;
  /** One of `explainedProtocols`. */
  readonly protocol: string;
  /** Of the destination; the type of ICMP. */
  readonly port: number;
  /** Of both directions together: a packet must pass both, and what is only audited passes. */
  readonly verdict: PolicyVerdict;
  /** What the policies of the sender say. */
  readonly egress: ExplainedDirection<Remedy>;
  /** What the policies of the receiver say. */
  readonly ingress: ExplainedDirection<Remedy>;
}

/** Dropped: allowed by no rule. Denied: forbidden by one. Redirected: a proxy decides; without one it is dropped. */
export type PolicyVerdict = Verdict["verdict"];

export interface ExplainedParty {
  /** 0: not known. */
  readonly identity: number;
  readonly labels: readonly string[];
  /** Of a workload on this node. */
  readonly endpoint?: number;
  /** `namespace/name`, of a workload on this node or another. */
  readonly pod?: string;
  /** Of a party outside of the cluster that was named by it. */
  readonly address?: string;
}

export interface ExplainedDirection<Remedy> {
  readonly verdict: PolicyVerdict;
  /** Policy only audits there: what it would drop is reported and passes. */
  readonly audited?: boolean;
  /** Whether policy is enforced there at all. */
  readonly enforced: boolean;
  /** One sentence. */
  readonly reason: string;
  /** `L3-L4`: what the deciding entry compares. */
  readonly match: string;
  /** The rules that decide. */
  readonly rules: readonly ExplainedRule[];
  /** Rules that match as well, and did not decide. Absent when there are none. */
  readonly runnersUp?: readonly ExplainedOpinion[];
  /** All policies that are about this party in this direction. */
  readonly policies: readonly ExplainedPolicy[];
  /** What would change the verdict: a sentence each. */
  readonly changes: readonly string[];
  /** Of a packet that no rule allows: the smallest policy that would. Absent where no policy alone would do. */
  readonly remedy?: Remedy;
}

export interface ExplainedPolicy {
  /** `CiliumNetworkPolicy`; `reserved` for what the system itself allows. */
  readonly kind: string;
  /** Empty for cluster-wide objects. */
  readonly namespace: string;
  readonly name: string;
}

export interface ExplainedOpinion extends ExplainedRule {
  /** Pass: on to the policies below its tier. */
  readonly says: "allow" | "deny" | "pass";
}

export interface ExplainedRule extends ExplainedPolicy {
  /** `ingress[0].toPorts[1]`; empty for what the system itself allows. */
  readonly path: string;
}
