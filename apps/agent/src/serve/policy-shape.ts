import type { EndpointPolicy } from "@cilium-ts/agent-api";
import type { ResolvedPolicy } from "@cilium-ts/policy";

/** Whom a policy lets in and out, as the API shows it. */
export function policyShape({ entries }: ResolvedPolicy): EndpointPolicy {
  const identities = (direction: "ingress" | "egress", dropped: boolean): number[] => {
    const found = new Set<number>();
    for (const { direction: of, deny, unallowed, audit, identity } of entries)
      if (of === direction && ((deny || unallowed) && !audit) === dropped) found.add(identity);
    return [...found].sort((left, right) => left - right);
  };
  return {
    "allowed-ingress-identities": identities("ingress", false),
    "denied-ingress-identities": identities("ingress", true),
    "allowed-egress-identities": identities("egress", false),
    "denied-egress-identities": identities("egress", true),
  };
}
