import { parserOf } from "./layer7.ts";
import type { Rule, RuleSection } from "./rule.ts";

/**
 * What valid rules ask for that no node can give, a sentence each. What depends on it is dropped, never let through; but for policies of
 * nodes, which have no effect on nodes without a host firewall. `hostFirewall`: whether all in question have one; undefined where
 * nobody knows.
 */
export function unmetNeeds(rules: readonly Rule[], hostFirewall?: boolean): string[] {
  const sections = rules.flatMap(({ ingress, egress }) => [...ingress, ...egress]);
  const needs = sections.flatMap((section) => [...proxiesNeeded(section), ...namesNeeded(section)]);
  return rules.some(({ ofNodes }) => ofNodes === true) ? [...firewallNeeded(hostFirewall), ...needs] : needs;
}

function firewallNeeded(hostFirewall: boolean | undefined): string[] {
  if (hostFirewall === true) return [];
  return [
    `nodeSelector needs --enable-host-firewall: ${hostFirewall === false ? "without it" : "on nodes whose agents run without it"} the policy has no effect`,
  ];
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
