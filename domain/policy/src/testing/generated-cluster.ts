/** Small random clusters for tests, made so that rules overlap, contradict and contain each other often. */
import { cidrLabels, type LocalIdentityAllocator, reservedLabels } from "@cilium-ts/identity";
import { type Label, Labels, Selector, type SelectorOperator } from "@cilium-ts/labels";
import { formatPrefix, maskAddress, parseAddress, parsePrefix, prefixContains, prefixContainsAddress } from "@cilium-ts/net";
import type { Random } from "@cilium-ts/testing";
import type { PolicyEngine } from "../engine.ts";
import { matchesPattern, nameLabel } from "../names/name-pattern.ts";
import type { Layer7 } from "../rules/layer7.ts";
import {
  type CidrGroup,
  entities,
  type NamedPort,
  type Peer,
  type PolicyService,
  type PortGroup,
  type PortMatch,
  protocols,
  type Rule,
  type RuleSection,
  type TierSection,
} from "../rules/rule.ts";
import type { OracleEnd } from "./oracle.ts";

export interface GeneratedEnd extends OracleEnd {
  /** Undefined for addresses outside the cluster: their number comes from the prefixes that are told apart. */
  readonly id?: number;
}

export interface GeneratedCluster {
  readonly families: readonly (4 | 6)[];
  readonly ends: readonly GeneratedEnd[];
  readonly policies: ReadonlyMap<string, readonly Rule[]>;
  readonly cidrGroups: readonly CidrGroup[];
  readonly services: readonly PolicyService[];
  /** Prefixes that have an identity though no rule names them. */
  readonly extraPrefixes: readonly string[];
}

const cidrs4 = ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.1/32", "10.128.0.0/9", "192.168.0.0/16"];
const cidrs6 = ["::/0", "2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::1/128"];
const addresses4 = ["10.1.1.1", "10.1.1.2", "10.1.2.1", "10.2.0.1", "10.200.0.1", "192.168.3.4", "8.8.8.8"];
const addresses6 = ["2001:db8:1::1", "2001:db8:1::2", "2001:db8:2::1", "2620::1"];
const apps = ["web", "db", "api"];
const namespaces = ["default", "prod"];
const zones = ["a", "b"];
const groupNames = ["office", "vpn", "partners"];
const kinds = ["inside", "outside"];
const serviceNames = ["front", "back"];
const names = ["a.example", "www.a.example", "b.test"];
const patterns = ["a.example", "*.example", "*.a.example", "*", "b*.test"];
const portNumbers = [0, 53, 79, 80, 81, 443, 1024, 8080, 65535];
const portNames = ["http", "dns"];

export function generateCluster(random: Random): GeneratedCluster {
  const families: readonly (4 | 6)[] = random.chance(0.6) ? [4, 6] : random.chance(0.7) ? [4] : [6];
  const policies = new Map<string, readonly Rule[]>();
  const policyCount = 1 + random.below(5);
  const [audits, proxies, tiers] = [random.chance(0.3), random.chance(0.3), random.chance(0.3)];
  for (let index = 0; index < policyCount; index += 1) {
    const name = `policy-${index}`;
    const audit = audits && random.chance(0.5);
    const tiered = tiers && random.chance(0.4);
    const ofNodes = !tiered && random.chance(0.25);
    const make = tiered ? generateTierRule : generateRule;
    const specs = !tiered && random.chance(0.2) ? 2 : 1;
    const rules = Array.from({ length: specs }, (_, spec) =>
      make(random, name, spec, { families, audit, proxies: proxies && !ofNodes, ofNodes }),
    );
    policies.set(name, rules);
  }
  const extraPrefixes = cidrsOf(families).filter((cidr) => !cidr.endsWith("/0") && random.chance(0.15));
  const cidrGroups = generateCidrGroups(random, families);
  const services = generateServices(random, families);
  return { families, ends: generateEnds(random, families), policies, cidrGroups, services, extraPrefixes };
}

/** The number of the end, as an ipcache would tell: the longest prefix that has an identity, or the rest of the world. */
export function identityOf(end: GeneratedEnd, locals: LocalIdentityAllocator, families: readonly (4 | 6)[]): number {
  if (end.id !== undefined) return end.id;
  const address = parseAddress(end.address ?? "");
  if (address === undefined) throw new Error("an end has a number or an address");
  let best: { id: number; length: number } | undefined;
  for (const { id, prefix: text } of locals.identities()) {
    const prefix = parsePrefix(text);
    if (prefix !== undefined && prefixContainsAddress(prefix, address) && prefix.length > (best?.length ?? -1))
      best = { id, length: prefix.length };
  }
  const plain = best?.id ?? (families.length === 1 ? 2 : address.length === 4 ? 9 : 10);
  const labels = labelsByName(
    end,
    plain,
    locals,
    new Set([...locals.identities()].flatMap((known) => known.labels.all.filter(isOfName).map(({ key }) => key))),
  );
  for (const known of locals.identities()) if (labels?.equals(known.labels)) return known.id;
  return plain;
}

function isOfName({ source }: Label): boolean {
  return source === "fqdn";
}

function meansOneOf(names: readonly string[]): (pattern: string) => boolean {
  return (pattern) => names.some((name) => matchesPattern(pattern, name));
}

/** What the identity of an address with names has on top of that of its prefix. Undefined: nobody means its names. */
function labelsByName(end: GeneratedEnd, plain: number, locals: LocalIdentityAllocator, wanted: ReadonlySet<string>): Labels | undefined {
  const meant = [...wanted].filter(meansOneOf(end.names ?? []));
  const labels = locals.get(plain)?.labels ?? reservedLabels(plain);
  return meant.length === 0 ? undefined : labels?.with(meant.map(nameLabel));
}

/** Makes the identities of the cluster known to the engine, and numbers for every prefix that it asks for. */
export function populate(engine: PolicyEngine, cluster: GeneratedCluster, locals: LocalIdentityAllocator): void {
  for (const end of cluster.ends) if (end.id !== undefined) engine.upsertIdentity(end.id, end.labels, end.namedPorts);
  const worlds = cluster.families.length === 1 ? [2] : [2, 9, 10];
  for (const id of worlds) engine.upsertIdentity(id, reservedLabels(id) ?? Labels.empty);
  for (const group of cluster.cidrGroups) engine.upsertCidrGroup(group);
  for (const service of cluster.services) engine.upsertService(service);
  for (const prefix of [...engine.referencedPrefixes(), ...cluster.extraPrefixes]) {
    const allocation = locals.acquire(prefix);
    if (!allocation.ok) throw new Error(allocation.problem);
    engine.upsertIdentity(allocation.identity.id, allocation.identity.labels);
  }
  for (const end of cluster.ends.filter(({ id }) => id === undefined)) {
    const plain = identityOf({ ...end, names: [] }, locals, cluster.families);
    const labels = labelsByName(end, plain, locals, engine.referencedPatterns());
    const allocation = labels && locals.acquireLabels(labels);
    if (allocation?.ok) engine.upsertIdentity(allocation.identity.id, allocation.identity.labels);
  }
}

function cidrsOf(families: readonly (4 | 6)[]): readonly string[] {
  return [...(families.includes(4) ? cidrs4 : []), ...(families.includes(6) ? cidrs6 : [])];
}

function generateEnds(random: Random, families: readonly (4 | 6)[]): GeneratedEnd[] {
  const ends: GeneratedEnd[] = [];
  for (const [index, app] of apps.entries()) {
    for (const [offset, namespace] of namespaces.entries()) {
      if (random.chance(0.3)) continue;
      const labels = [`k8s:app=${app}`, `k8s:io.kubernetes.pod.namespace=${namespace}`, "k8s:io.cilium.k8s.policy.cluster=default"];
      if (random.chance(0.3)) labels.push("container:app=other");
      if (random.chance(0.3)) labels.push("k8s:tier=gold");
      ends.push({ id: 300 + index * 10 + offset, labels: Labels.parse(labels), namedPorts: generateNamedPorts(random) });
    }
  }
  for (const id of [1, 4, 5, 6, 7]) {
    const labels = reservedLabels(id) ?? Labels.empty;
    const zone = { key: "zone", value: random.pick(zones) };
    const ofNode = id === 1 || id === 6 ? [{ source: "node", ...zone }] : [];
    if (id === 1) ofNode.push({ source: "k8s", ...zone }); // As a subject it has them by this source.
    if (random.chance(0.7)) ends.push({ id, labels: labels.with(ofNode), namedPorts: [] });
  }
  if (random.chance(0.4)) {
    ends.push({ id: 0x0200_0001, labels: Labels.parse(["reserved:remote-node", `node:zone=${random.pick(zones)}`]), namedPorts: [] });
  }
  for (const address of addressesOf(families)) {
    // The labels of what is outside are whatever the identity of its address has; for the oracle the address is enough.
    const bytes = parseAddress(address);
    if (bytes === undefined) throw new Error(address);
    const own = random.chance(0.4) ? names.filter(() => random.chance(0.4)) : [];
    const labels = cidrLabels({ address: bytes, length: bytes.length * 8 }, families).with(patterns.filter(meansOneOf(own)).map(nameLabel));
    ends.push({ address, names: own, labels, namedPorts: [] });
  }
  return ends;
}

function generateCidrGroups(random: Random, families: readonly (4 | 6)[]): CidrGroup[] {
  return groupNames
    .filter(() => random.chance(0.7))
    .map((name) => ({
      name,
      labels: Labels.parse([`k8s:kind=${random.pick(kinds)}`]),
      cidrs: cidrsOf(families).filter(() => random.chance(0.3)),
    }));
}

/** Some select endpoints, some have addresses, as those whose endpoints are written by hand. */
function generateServices(random: Random, families: readonly (4 | 6)[]): PolicyService[] {
  const services: PolicyService[] = [];
  for (const namespace of namespaces) {
    for (const name of serviceNames) {
      if (random.chance(0.3)) continue;
      const shared = { namespace, name, labels: Labels.parse([`k8s:kind=${random.pick(kinds)}`]) };
      const matchLabels = { "k8s:app": random.pick(apps), "k8s:io.kubernetes.pod.namespace": namespace };
      if (random.chance(0.5)) services.push({ ...shared, selector: Selector.of({ matchLabels }), addresses: [] });
      else services.push({ ...shared, addresses: addressesOf(families).filter(() => random.chance(0.3)) });
    }
  }
  return services;
}

function addressesOf(families: readonly (4 | 6)[]): readonly string[] {
  return [...(families.includes(4) ? addresses4 : []), ...(families.includes(6) ? addresses6 : [])];
}

function generateNamedPorts(random: Random): NamedPort[] {
  return portNames
    .filter(() => random.chance(0.6))
    .map((name) => ({ name, protocol: random.pick([protocols.tcp, protocols.udp]), port: random.pick([53, 80, 8080]) }));
}

interface RuleOptions {
  readonly families: readonly (4 | 6)[];
  /** The object is only audited. */
  readonly audit: boolean;
  /** Some ports have rules of layer 7. */
  readonly proxies: boolean;
  /** It is about nodes. */
  readonly ofNodes: boolean;
}

function generateRule(random: Random, name: string, spec: number, { families, audit, proxies, ofNodes }: RuleOptions): Rule {
  const sections = (kind: string, probability: number): RuleSection[] => {
    if (!random.chance(probability)) return [];
    const layer7 = proxies && !kind.endsWith("Deny");
    return Array.from({ length: 1 + random.below(3) }, (_, index) => {
      const section = generateSection(random, `specs[${spec}].${kind}[${index}]`, families);
      return layer7 ? withLayer7(random, section) : section;
    });
  };
  const ingress = sections("ingress", 0.6);
  const ingressDeny = sections("ingressDeny", 0.4);
  const egress = sections("egress", 0.6);
  const egressDeny = sections("egressDeny", 0.4);
  const choose = (present: boolean): boolean => (random.chance(0.2) ? random.chance(0.5) : present);
  return {
    policy: { kind: "CiliumNetworkPolicy", namespace: "default", name, uid: `uid-${name}`, labels: [] },
    ...(ofNodes ? { ofNodes, endpointSelector: generateNodeSelector(random) } : { endpointSelector: generateSelector(random) }),
    ingress,
    ingressDeny,
    egress,
    egressDeny,
    enableDefaultDeny: { ingress: choose(ingress.length + ingressDeny.length > 0), egress: choose(egress.length + egressDeny.length > 0) },
    ...(audit && { audit }),
  };
}

function withLayer7(random: Random, section: RuleSection): RuleSection {
  if (section.ports === undefined) return section;
  return { ...section, ports: section.ports.map((group) => (random.chance(0.6) ? { ...group, layer7: generateLayer7(random) } : group)) };
}

function generateLayer7(random: Random): Layer7 {
  const some = <T>(rules: readonly T[]): T[] => (random.chance(0.15) ? [] : rules.filter(() => random.chance(0.6)));
  switch (random.pick(["http", "http", "http", "kafka", "dns", "generic"] as const)) {
    case "http":
      return { parser: "http", rules: some([{ path: "/a" }, { path: "/b", method: "GET" }, { headers: ["X-A: b"] }]) };
    case "kafka":
      return { parser: "kafka", rules: some([{ topic: "a" }, { role: "produce" }]) };
    case "dns":
      return { parser: "dns", rules: some([{ matchName: "a.example" }, { matchPattern: "*.example" }]) };
    case "generic":
      return { parser: "generic", protocol: random.pick(["memcache", "http"]), rules: some([{ command: "get" }]) };
  }
}

/** One rule of a tier, in an object of its own. */
function generateTierRule(random: Random, name: string, _spec: number, { families, audit }: RuleOptions): Rule {
  const sections = (kind: string): TierSection[] =>
    Array.from({ length: random.below(4) }, (_item, index) => {
      const { requires: _requires, ...section } = generateSection(random, `${kind}[${index}]`, families);
      return { ...section, action: random.pick(["accept", "deny", "pass"]) };
    });
  const kind = random.pick(["admin", "admin", "baseline"] as const);
  return {
    policy: { kind: "ClusterNetworkPolicy", namespace: "", name, uid: `uid-${name}`, labels: [] },
    endpointSelector: generateSelector(random),
    ...{ ingress: [], ingressDeny: [], egress: [], egressDeny: [] },
    enableDefaultDeny: { ingress: false, egress: false },
    ...(audit && { audit }),
    tier: { kind, priority: random.below(3), ingress: sections("ingress"), egress: sections("egress") },
  };
}

function generateSelector(random: Random): Selector {
  const operators: readonly SelectorOperator[] = ["In", "NotIn", "Exists", "DoesNotExist"];
  const matchExpressions = Array.from({ length: random.below(3) }, () => {
    const operator = random.pick(operators);
    const [key, values] = random.pick([
      [random.pick(["app", "k8s:app", "any:app", "container:app"]), [...apps, "other"]],
      ["io.kubernetes.pod.namespace", namespaces],
      ["k8s:tier", ["gold"]],
      ["reserved:init", [""]],
    ] as const);
    return operator === "In" || operator === "NotIn"
      ? { key, operator, values: values.filter(() => random.chance(0.5)).slice(0, 2) }
      : { key, operator };
  });
  return Selector.of({ matchExpressions });
}

/** Of a rule about nodes. Some mean no node although they mean endpoints. */
function generateNodeSelector(random: Random): Selector {
  if (random.chance(0.2)) return generateSelector(random);
  return random.chance(0.3) ? Selector.everything : Selector.of({ matchLabels: { zone: random.pick(zones) } });
}

function generateSection(random: Random, path: string, families: readonly (4 | 6)[]): RuleSection {
  const section: { path: string; peers?: readonly Peer[]; requires?: readonly Selector[]; ports?: readonly PortGroup[] } = { path };
  if (random.chance(0.05)) section.requires = [generateSelector(random)];
  if (random.chance(0.8))
    section.peers = Array.from({ length: random.chance(0.05) ? 0 : 1 + random.below(3) }, () => generatePeer(random, families));
  if (random.chance(0.75)) {
    section.ports = Array.from({ length: 1 + random.below(2) }, (_, index) => ({
      path: `${path}.toPorts[${index}]`,
      ports: Array.from({ length: random.chance(0.05) ? 0 : 1 + random.below(3) }, () => generatePort(random)),
    }));
  }
  return section;
}

function generatePeer(random: Random, families: readonly (4 | 6)[]): Peer {
  switch (random.pick(["endpoints", "endpoints", "entity", "entity", "cidr", "cidr", "cidrGroups", "services", "nodes", "fqdn"] as const)) {
    case "endpoints":
      return { kind: "endpoints", selector: generateSelector(random) };
    case "entity":
      return { kind: "entity", entity: random.pick(entities) };
    case "cidr":
      return generateCidr(random, families);
    case "cidrGroups": {
      const except = cidrsOf(families).filter((cidr) => !cidr.endsWith("/0") && random.chance(0.1));
      return { kind: "cidrGroups", ...generateChoice(random, groupNames), except };
    }
    case "services": {
      const place = random.chance(0.6) ? { namespace: random.pick(namespaces) } : {};
      return { kind: "services", ...place, ...generateChoice(random, serviceNames) };
    }
    case "fqdn":
      return { kind: "fqdn", pattern: random.pick(patterns) };
    case "nodes":
      return {
        kind: "nodes",
        selector: random.chance(0.3) ? Selector.everything : Selector.of({ matchLabels: { "node:zone": random.pick(zones) } }),
      };
  }
}

function generateChoice(random: Random, names: readonly string[]): { readonly name: string } | { readonly selector: Selector } {
  if (random.chance(0.6)) return { name: random.pick(names) };
  return { selector: random.chance(0.2) ? Selector.everything : Selector.of({ matchLabels: { kind: random.pick(kinds) } }) };
}

function generateCidr(random: Random, families: readonly (4 | 6)[]): Peer {
  const cidr = random.pick(cidrsOf(families));
  const outer = parsePrefix(cidr);
  const except = cidrsOf(families).filter((text) => {
    const inner = parsePrefix(text);
    return inner !== undefined && outer !== undefined && prefixContains(outer, inner) && random.chance(0.3);
  });
  if (random.chance(0.1)) except.push(...oddExcept(cidr));
  return { kind: "cidr", cidr, except };
}

/** A hole that no other rule names. */
function oddExcept(cidr: string): string[] {
  const prefix = parsePrefix(cidr);
  if (prefix === undefined || prefix.length > 20) return [];
  return [formatPrefix({ address: maskAddress(prefix.address, prefix.length + 3), length: prefix.length + 3 })];
}

function generatePort(random: Random): PortMatch {
  if (random.chance(0.15)) {
    return { kind: "name", name: random.pick(portNames), protocol: random.pick([protocols.any, protocols.tcp, protocols.udp]) };
  }
  if (random.chance(0.15)) {
    const type = random.pick([0, 3, 8, 128]);
    return { kind: "number", protocol: random.pick([protocols.icmp, protocols.icmpv6]), first: type, last: type };
  }
  const protocol = random.pick([protocols.any, protocols.tcp, protocols.tcp, protocols.udp, protocols.sctp]);
  if (random.chance(0.15)) return { kind: "number", protocol, first: 0, last: 65535 };
  const first = random.pick(portNumbers);
  const last = random.chance(0.6) ? first : Math.max(first, random.pick(portNumbers) + random.below(3) - 1);
  return { kind: "number", protocol, first, last: Math.min(65535, last) };
}

/** Ports at and beside the bounds of generated rules. */
export function generatePacketPort(random: Random): { protocol: number; port: number } {
  const protocol = random.pick([6, 6, 6, 17, 17, 132, 1, 58, 47]);
  if (protocol === 1 || protocol === 58) return { protocol, port: random.pick([0, 3, 8, 128, 200]) };
  if (protocol === 47) return { protocol, port: 0 };
  const port = random.chance(0.8) ? random.pick(portNumbers) + random.below(3) - 1 : random.below(65_536);
  return { protocol, port: Math.min(65_535, Math.max(0, port)) };
}
