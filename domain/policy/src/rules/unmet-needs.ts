import { parserOf } from "./layer7.ts";
import type { Rule, RuleSection } from "./rule.ts";

/** What valid rules ask for that no node can give, a sentence each. What depends on it is dropped, never let through. */
export function unmetNeeds(rules: readonly Rule[]): string[] {
  const sections = rules.flatMap(({ ingress, egress }) => [...ingress, ...egress]);
  return sections.flatMap((section) => [...proxiesNeeded(section), ...namesNeeded(section)]);
}

function proxiesNeeded({ ports = [] }: RuleSection): string[] {
  return ports.flatMap(({ path, layer7 }) =>
    layer7 === undefined
      ? []
      : [`${path} needs a proxy for ${parserOf(layer7)}, and no node has one: connections to its ports are dropped`],
  );
}

function namesNeeded({ path, peers = [] }: RuleSection): string[] {
  if (!peers.some(({ kind }) => kind === "fqdn")) return [];
  return [`${path}.toFQDNs needs a DNS proxy that learns names, and no node has one: it allows nothing`];
}
