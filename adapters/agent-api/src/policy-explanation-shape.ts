import type { Labels } from "./shapes.ts";

/** Why two parties may or may not talk. Our own: other agents have no such operation. */
export interface PolicyExplanation {
  readonly from: ExplainedParty;
  readonly to: ExplainedParty;
  /** `TCP`, `UDP`, `SCTP`, `ICMP`, `ICMPv6`. */
  readonly protocol: string;
  /** Of the destination; the type of ICMP. */
  readonly port: number;
  /** Of both directions together: a packet must pass both, and what is only audited passes. */
  readonly verdict: PolicyVerdict;
  /** What the policies of the sender say. */
  readonly egress: ExplainedDirection;
  /** What the policies of the receiver say. */
  readonly ingress: ExplainedDirection;
}

/** Dropped: allowed by no rule. Denied: forbidden by one. */
export type PolicyVerdict = "allowed" | "denied" | "dropped";

export interface ExplainedParty {
  readonly identity: number;
  readonly labels: Labels;
  /** Of a workload on this node. */
  readonly endpoint?: number;
  /** `namespace/name`, of a workload on this node or another. */
  readonly pod?: string;
  /** Of a party outside of the cluster that was named by it. */
  readonly address?: string;
}

export interface ExplainedDirection {
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
  /** All policies that are about this party in this direction. */
  readonly policies: readonly ExplainedPolicy[];
  /** What would change the verdict: a sentence each. */
  readonly changes: readonly string[];
  /** Of a packet that no rule allows: the smallest policy that would, as an object to apply. Absent where no policy alone would do. */
  readonly remedy?: Readonly<Record<string, unknown>>;
}

export interface ExplainedPolicy {
  /** `CiliumNetworkPolicy`; `reserved` for what the system itself allows. */
  readonly kind: string;
  /** Empty for cluster-wide objects. */
  readonly namespace: string;
  readonly name: string;
}

export interface ExplainedRule extends ExplainedPolicy {
  /** `ingress[0].toPorts[1]`; empty for what the system itself allows. */
  readonly path: string;
}
