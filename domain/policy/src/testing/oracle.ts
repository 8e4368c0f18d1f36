/**
 * The rules of evaluation, read off their description as plainly as possible, for tests to compare the engine with. It knows no
 * entries, no prefixes of ports, no selector cache and no numbers of identities: a packet has two ends, and each rule is asked.
 */
import type { Labels, Selector } from "@cilium-ts/labels";
import { formatPrefix, parseAddress, parsePrefix, prefixContainsAddress } from "@cilium-ts/net";
import type { CidrGroup, Direction, Entity, NamedPort, Peer, PolicyService, PortMatch, Rule, RuleSection } from "../rules/rule.ts";

export interface OracleEnd {
  readonly labels: Labels;
  readonly namedPorts: readonly NamedPort[];
  /** Of an end outside the cluster; undefined for pods and nodes. */
  readonly address?: string;
}

export interface OraclePacket {
  readonly subject: OracleEnd;
  readonly peer: OracleEnd;
  readonly direction: Direction;
  readonly protocol: number;
  /** Destination port, or ICMP type. */
  readonly port: number;
}

export interface OracleSettings {
  readonly mode: "default" | "always" | "never";
  readonly allowLocalhost: boolean;
  readonly clusterName: string;
  readonly cidrGroups: readonly CidrGroup[];
  readonly services: readonly PolicyService[];
}

export interface OracleVerdict {
  readonly verdict: "allowed" | "denied" | "dropped";
  /** Were it not for audited rules, it would pass; so it does. */
  readonly audited: boolean;
  /** Paths (`policy/section`) of every rule item that matches with this verdict. */
  readonly reasons: ReadonlySet<string>;
}

export function judge(packet: OraclePacket, rules: readonly Rule[], settings: OracleSettings): OracleVerdict {
  const { direction, subject } = packet;
  if (settings.mode === "never") return { verdict: "allowed", audited: false, reasons: new Set(["allow-any"]) };
  const selecting = rules.filter((rule) => selects(rule.endpointSelector, subject.labels) && speaksOf(rule, direction));
  const strict = judgeBy(selecting, () => true, packet, settings);
  if (strict.verdict === "allowed") return { ...strict, audited: false };
  const lenient = judgeBy(selecting, (rule) => rule.audit !== true, packet, settings);
  if (lenient.verdict !== "allowed")
    return { ...lenient, reasons: lenient.verdict === "denied" ? strict.reasons : new Set(), audited: false };
  if (strict.verdict === "denied") return { ...strict, audited: true };
  const closing = selecting.filter((rule) => rule.audit === true && rule.enableDefaultDeny[direction]);
  return { ...strict, reasons: new Set(closing.map(({ policy }) => `${policy.name}/enableDefaultDeny.${direction}`)), audited: true };
}

/** `bars`: whether the rule can keep a packet from passing. */
function judgeBy(
  selecting: readonly Rule[],
  bars: (rule: Rule) => boolean,
  packet: OraclePacket,
  settings: OracleSettings,
): Omit<OracleVerdict, "audited"> {
  const { direction, subject, peer } = packet;
  const forced = settings.mode === "always" || subject.labels.has("reserved", "init");

  const denying = new Set<string>();
  const allowing = new Set<string>();
  const denySections = (rule: Rule): readonly RuleSection[] => (direction === "ingress" ? rule.ingressDeny : rule.egressDeny);
  const allowSections = (rule: Rule): readonly RuleSection[] => (direction === "ingress" ? rule.ingress : rule.egress);
  const fulfils = (sectionsOf: typeof denySections): boolean =>
    selecting.every((rule) =>
      sectionsOf(rule).every(({ requires }) => (requires ?? []).every((selector) => selects(selector, peer.labels))),
    );
  const fulfilsDeny = fulfils(denySections);
  const fulfilsAllow = fulfils(allowSections);
  for (const rule of selecting) {
    for (const section of bars(rule) ? denySections(rule) : []) {
      for (const path of matchingPaths(section, packet, settings, fulfilsDeny)) denying.add(`${rule.policy.name}/${path}`);
    }
    for (const section of allowSections(rule)) {
      for (const path of matchingPaths(section, packet, settings, fulfilsAllow)) allowing.add(`${rule.policy.name}/${path}`);
    }
  }
  const closed = forced || selecting.some((rule) => bars(rule) && rule.enableDefaultDeny[direction]);
  if (!closed) allowing.add("allow-any");
  if (closed && direction === "ingress" && settings.allowLocalhost && peer.labels.has("reserved", "host")) allowing.add("allow-localhost");

  if (denying.size > 0) return { verdict: "denied", reasons: denying };
  if (allowing.size > 0) return { verdict: "allowed", reasons: allowing };
  return { verdict: "dropped", reasons: new Set() };
}

function speaksOf(rule: Rule, direction: Direction): boolean {
  if (rule.enableDefaultDeny[direction]) return true;
  return direction === "ingress" ? rule.ingress.length + rule.ingressDeny.length > 0 : rule.egress.length + rule.egressDeny.length > 0;
}

/** `fulfils`: the peer is as all rules together require of endpoints that are named by selector. */
function matchingPaths(section: RuleSection, packet: OraclePacket, settings: OracleSettings, fulfils: boolean): string[] {
  const isNamed = (peer: Peer): boolean => isPeer(peer, packet.peer, settings) && (peer.kind !== "endpoints" || fulfils);
  if (section.peers !== undefined && !section.peers.some(isNamed)) return [];
  if (section.ports === undefined) return [section.path];
  // A name means what the receiving end calls so.
  const receiver = packet.direction === "ingress" ? packet.subject : packet.peer;
  return section.ports.filter((group) => group.ports.some((port) => isPort(port, packet, receiver.namedPorts))).map((group) => group.path);
}

function isPeer(peer: Peer, end: OracleEnd, settings: OracleSettings): boolean {
  switch (peer.kind) {
    case "endpoints":
      return selects(peer.selector, end.labels);
    case "entity":
      return isEntity(peer.entity, end, settings);
    case "cidr":
      return isInCidr(peer.cidr, peer.except, end);
    case "cidrGroups":
      return settings.cidrGroups
        .filter((group) => ("name" in peer ? group.name === peer.name : selects(peer.selector, group.labels)))
        .some((group) => group.cidrs.some((cidr) => isInCidr(cidr, peer.except, end)));
    case "services":
      return settings.services
        .filter((service) => peer.namespace === undefined || service.namespace === peer.namespace)
        .filter((service) => ("name" in peer ? service.name === peer.name : selects(peer.selector, service.labels)))
        .some((service) =>
          service.selector === undefined
            ? service.addresses.some((address) => address === end.address)
            : selects(service.selector, end.labels),
        );
    case "nodes":
      return (end.labels.has("reserved", "host") || end.labels.has("reserved", "remote-node")) && selects(peer.selector, end.labels);
  }
}

function isInCidr(cidr: string, except: readonly string[], end: OracleEnd): boolean {
  return isInside(cidr, end.address) && !except.some((hole) => isInside(hole, end.address));
}

function isEntity(entity: Entity, end: OracleEnd, settings: OracleSettings): boolean {
  const reserved = (name: string): boolean => end.labels.has("reserved", name);
  switch (entity) {
    case "all":
      return true;
    case "world":
      return end.address !== undefined;
    case "world-ipv4":
      return isInside("0.0.0.0/0", end.address);
    case "world-ipv6":
      return isInside("::/0", end.address);
    case "cluster":
      return (
        ["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"].some(reserved) ||
        end.labels.get("k8s", "io.cilium.k8s.policy.cluster") === settings.clusterName
      );
    default:
      return reserved(entity);
  }
}

function isPort(match: PortMatch, packet: OraclePacket, named: readonly NamedPort[]): boolean {
  const protocolFits = match.protocol === 0 ? [6, 17, 132].includes(packet.protocol) : match.protocol === packet.protocol;
  if (!protocolFits) return false;
  if (match.kind === "number") return packet.port >= match.first && packet.port <= match.last;
  return named.some(({ name, protocol, port }) => name === match.name && protocol === packet.protocol && port === packet.port);
}

function isInside(cidr: string, address: string | undefined): boolean {
  const prefix = parsePrefix(cidr);
  const bytes = address === undefined ? undefined : parseAddress(address);
  if (prefix === undefined || formatPrefix(prefix) !== cidr) throw new Error(`generated rule with a bad prefix ${cidr}`);
  return bytes !== undefined && prefixContainsAddress(prefix, bytes);
}

/** Does not use the engine's matcher. */
function selects(selector: Selector, labels: Labels): boolean {
  return selector.requirements.every(({ source, key, operator, values }) => {
    const found = [...labels].filter((label) => label.key === key && (source === "any" || label.source === source));
    if (operator === "Exists") return found.length > 0;
    if (operator === "DoesNotExist") return found.length === 0;
    const hit = found.some((label) => values.includes(label.value));
    return operator === "In" ? hit : !hit;
  });
}
