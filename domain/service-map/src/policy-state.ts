/** What policies mean for a workload in a direction. `partly`: enforced at some of its pods, while others are not there yet. */
export type PolicyState = "none" | "audit" | "partly" | "enforced";

export const policyStates: readonly PolicyState[] = ["none", "audit", "partly", "enforced"];

export interface ServicePolicy {
  readonly ingress: PolicyState;
  readonly egress: PolicyState;
}
