import { clusterLabelKey, namespaceLabelKey, type Requirement, type Selector } from "@cilium-ts/labels";
import { type Layer7, type Peer, type PortGroup, type PortMatch, protocols, type Rule, type RuleSection } from "@cilium-ts/policy";
import type { KubernetesObject } from "../kubernetes-object.ts";
import { auditAnnotation } from "./policy-object.ts";

/**
 * The object that a rule is written as: a CiliumNetworkPolicy, or a clusterwide one for a rule without a namespace. Read again it is the
 * same rule, in a cluster whose peers are of one cluster unless they say otherwise.
 */
export function ciliumPolicyFromRule(rule: Rule): KubernetesObject {
  const { namespace, name } = rule.policy;
  const sections = Object.fromEntries(
    (["ingress", "ingressDeny", "egress", "egressDeny"] as const)
      .filter((list) => rule[list].length > 0)
      .map((list) => [list, rule[list].map((section) => sectionFields(section, list.startsWith("ingress") ? "from" : "to", namespace))]),
  );
  return {
    apiVersion: "cilium.io/v2",
    kind: namespace === "" ? "CiliumClusterwideNetworkPolicy" : "CiliumNetworkPolicy",
    metadata: {
      name,
      ...(namespace !== "" && { namespace }),
      ...(rule.audit === true && { annotations: { [auditAnnotation]: "enabled" } }),
    },
    spec: {
      [rule.ofNodes === true ? "nodeSelector" : "endpointSelector"]: selectorFields(rule.endpointSelector, namespace),
      ...sections,
      enableDefaultDeny: { ...rule.enableDefaultDeny },
      ...(rule.log !== undefined && { log: { value: rule.log } }),
    },
  };
}

function sectionFields(section: RuleSection, side: "from" | "to", namespace: string): Record<string, unknown> {
  const fields: Record<string, unknown[]> = {};
  const append = (name: string, item: unknown): void => {
    const list = fields[name];
    if (list === undefined) fields[name] = [item];
    else list.push(item);
  };
  for (const peer of section.peers ?? []) {
    const [kind, value] = peerField(peer, namespace);
    append(`${side}${kind}`, value);
  }
  if (section.peers?.length === 0) fields[`${side}Endpoints`] = [];
  if (section.requires !== undefined) fields[`${side}Requires`] = section.requires.map((selector) => selectorFields(selector, namespace));
  for (const group of section.ports ?? []) {
    const isIcmp = group.ports.some(({ protocol }) => protocol === protocols.icmp || protocol === protocols.icmpv6);
    if (isIcmp) append("icmps", { fields: group.ports.flatMap(icmpFields) });
    else append("toPorts", { ports: portFields(group), ...(group.layer7 !== undefined && { rules: layer7Fields(group.layer7) }) });
  }
  return fields;
}

function layer7Fields(layer7: Layer7): Record<string, unknown> {
  return layer7.parser === "generic" ? { l7proto: layer7.protocol, l7: layer7.rules } : { [layer7.parser]: layer7.rules };
}

function peerField(peer: Peer, namespace: string): [kind: string, value: unknown] {
  switch (peer.kind) {
    case "endpoints":
      return ["Endpoints", selectorFields(peer.selector, namespace)];
    case "entity":
      return ["Entities", peer.entity];
    case "cidr":
      return ["CIDRSet", { cidr: peer.cidr, ...exceptField(peer.except) }];
    case "cidrGroups":
      if ("name" in peer) return ["CIDRSet", { cidrGroupRef: peer.name, ...exceptField(peer.except) }];
      return ["CIDRSet", { cidrGroupSelector: selectorFields(peer.selector, ""), ...exceptField(peer.except) }];
    case "services": {
      const place = peer.namespace === undefined ? {} : { namespace: peer.namespace };
      if ("name" in peer) return ["Services", { k8sService: { serviceName: peer.name, ...place } }];
      return ["Services", { k8sServiceSelector: { selector: selectorFields(peer.selector, ""), ...place } }];
    }
    case "fqdn":
      return ["FQDNs", peer.pattern.includes("*") ? { matchPattern: peer.pattern } : { matchName: peer.pattern }];
    case "nodes":
      return ["Nodes", selectorFields(peer.selector, "")];
  }
}

function exceptField(except: readonly string[]): { readonly except?: readonly string[] } {
  return except.length === 0 ? {} : { except };
}

/** Without what reading adds: the policy's own namespace, and the cluster. */
function selectorFields(selector: Selector, namespace: string): Record<string, unknown> {
  const matchLabels: Record<string, string> = {};
  const matchExpressions: unknown[] = [];
  for (const requirement of selector.requirements) {
    const { source, key, operator, values } = requirement;
    if (isAdded(requirement, namespace)) continue;
    const name = source === "any" ? key : `${source}:${key}`;
    const [value] = values;
    if (operator === "In" && values.length === 1 && value !== undefined && !Object.hasOwn(matchLabels, name)) matchLabels[name] = value;
    else matchExpressions.push({ key: name, operator, ...(values.length > 0 && { values: [...values] }) });
  }
  return {
    ...(Object.keys(matchLabels).length > 0 && { matchLabels }),
    ...(matchExpressions.length > 0 && { matchExpressions }),
  };
}

function isAdded({ source, key, operator, values }: Requirement, namespace: string): boolean {
  if (source !== "k8s" || operator !== "In" || values.length !== 1) return false;
  return key === clusterLabelKey || (key === namespaceLabelKey && values[0] === namespace);
}

const protocolNames = new Map<number, string>([
  [protocols.any, "ANY"],
  [protocols.tcp, "TCP"],
  [protocols.udp, "UDP"],
  [protocols.sctp, "SCTP"],
]);

function portFields({ ports }: PortGroup): unknown[] {
  return ports.map((match) => {
    const protocol = protocolNames.get(match.protocol) ?? "ANY";
    if (match.kind === "name") return { port: match.name, protocol };
    if (match.first === 0 && match.last === 65_535) return { port: "0", protocol };
    return { port: String(match.first), protocol, ...(match.last !== match.first && { endPort: match.last }) };
  });
}

function icmpFields(match: PortMatch): unknown[] {
  if (match.kind === "name") return [];
  const family = match.protocol === protocols.icmpv6 ? "IPv6" : "IPv4";
  return Array.from({ length: match.last - match.first + 1 }, (_, offset) => ({ family, type: match.first + offset }));
}
