import { parserOf } from "./layer7.ts";
import type { Rule, RuleSection } from "./rule.ts";

/** What all nodes in question have; undefined where nobody knows. */
export interface NodeAbilities {
  readonly hostFirewall?: boolean;
  /** Nodes have one unless they are told not to. */
  readonly dnsProxy?: boolean;
}

/**
 * What valid rules ask for that nodes cannot give, a sentence each. What depends on it is dropped, never let through; but for policies of
 * nodes, which have no effect on nodes without a host firewall.
 */
export function unmetNeeds(rules: readonly Rule[], { hostFirewall, dnsProxy = true }: NodeAbilities = {}): string[] {
  const needs = rules.flatMap(({ ofNodes, ingress, egress }) =>
    [...ingress, ...egress].flatMap((section) => [
      ...(ofNodes === true ? nodeProxiesNeeded(section) : proxiesNeeded(section, dnsProxy)),
      ...namesNeeded(section, dnsProxy),
    ]),
  );
  return rules.some(({ ofNodes }) => ofNodes === true) ? [...firewallNeeded(hostFirewall), ...needs] : needs;
}

function firewallNeeded(hostFirewall: boolean | undefined): string[] {
  if (hostFirewall === true) return [];
  return [
    `nodeSelector needs --enable-host-firewall: ${hostFirewall === false ? "without it" : "on nodes whose agents run without it"} the policy has no effect`,
  ];
}

function nodeProxiesNeeded({ ports = [] }: RuleSection): string[] {
  return ports.flatMap(({ path, layer7 }) =>
    layer7 === undefined
      ? []
      : [`${path} needs a proxy for what nodes themselves ask, and no node has one: connections to its ports are dropped`],
  );
}

function proxiesNeeded({ ports = [] }: RuleSection, dnsProxy: boolean): string[] {
  return ports.flatMap(({ path, layer7 }) => {
    if (layer7 === undefined) return [];
    const parser = parserOf(layer7);
    if (parser !== "dns") return [`${path} needs a proxy for ${parser}, and no node has one: connections to its ports are dropped`];
    return dnsProxy ? [] : [`${path} needs a proxy for dns: without --enable-l7-proxy connections to its ports are dropped`];
  });
}

function namesNeeded({ path, peers = [] }: RuleSection, dnsProxy: boolean): string[] {
  if (dnsProxy || !peers.some(({ kind }) => kind === "fqdn")) return [];
  return [`${path}.toFQDNs needs a DNS proxy that learns names: without --enable-l7-proxy it allows nothing`];
}
