import type { EndpointPolicy } from "@cilium-ts/agent-api";
import type { ResolvedPolicy } from "@cilium-ts/policy";

/** Whom a policy lets in and out, as the API shows it. */
export function policyShape({ entries }: ResolvedPolicy): EndpointPolicy {
  const identities = (direction: "ingress" | "egress", deny: boolean): number[] => {
    const found = new Set<number>();
    for (const entry of entries) if (entry.direction === direction && entry.deny === deny) found.add(entry.identity);
    return [...found].sort((left, right) => left - right);
  };
  return {
    "allowed-ingress-identities": identities("ingress", false),
    "denied-ingress-identities": identities("ingress", true),
    "allowed-egress-identities": identities("egress", false),
    "denied-egress-identities": identities("egress", true),
  };
}
