/** One end of a flow, as a node told of it. */
export interface ObservedEnd {
  /** Canonical; empty where it is not known. */
  readonly address: string;
  /** `source:key=value`. */
  readonly labels: readonly string[];
  /** Of a pod; empty of anybody else. */
  readonly namespace: string;
  readonly podName: string;
  /** `Deployment/web`; empty where it is not known. */
  readonly workload: string;
  /** DNS names that led to the address. */
  readonly names: readonly string[];
}

/** A flow, reduced to what policies look at. */
export interface ObservedFlow {
  readonly timeMs: number;
  readonly from: ObservedEnd;
  readonly to: ObservedEnd;
  /** IP protocol number. */
  readonly protocol: number;
  /** Of the destination; the type of ICMP. */
  readonly port: number;
  /** Audited: policy would have dropped it, and it passed. */
  readonly verdict: "forwarded" | "dropped" | "audited";
}

/** A flow, or why policies cannot be asked about what was recorded. */
export type Observation = { readonly kind: "flow"; readonly flow: ObservedFlow } | { readonly kind: "unusable"; readonly reason: string };
