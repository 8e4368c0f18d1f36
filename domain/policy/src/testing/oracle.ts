/**
 * The rules of evaluation, read off their description as plainly as possible, for tests to compare the engine with. It knows no
 * entries, no prefixes of ports, no selector cache and no numbers of identities: a packet has two ends, and each rule is asked.
 */
import type { Labels, Selector } from "@cilium-ts/labels";
import { formatPrefix, parseAddress, parsePrefix, prefixContainsAddress } from "@cilium-ts/net";
import type { Layer7 } from "../rules/layer7.ts";
import type { CidrGroup, Direction, Entity, NamedPort, Peer, PolicyService, PortMatch, Rule, RuleSection } from "../rules/rule.ts";

export interface OracleEnd {
  readonly labels: Labels;
  readonly namedPorts: readonly NamedPort[];
  /** Of an end outside the cluster; undefined for pods and nodes. */
  readonly address?: string;
  /** Of an end outside the cluster: those that were learned. */
  readonly names?: readonly string[];
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
  readonly verdict: "allowed" | "redirected" | "denied" | "dropped";
  /** Were it not for audited rules, it would pass; so it does. */
  readonly audited: boolean;
  /** Of what is redirected: the parsers that rules want, and the rules of layer 7 as texts; undefined where one allows all. */
  readonly redirect?: { readonly parsers: ReadonlySet<string>; readonly rules: ReadonlySet<string> | undefined };
  /** Paths (`policy/section`) of every rule item that matches with this verdict. */
  readonly reasons: ReadonlySet<string>;
}

export function judge(packet: OraclePacket, rules: readonly Rule[], settings: OracleSettings): OracleVerdict {
  const { direction, subject } = packet;
  if (settings.mode === "never") return { verdict: "allowed", audited: false, reasons: new Set(["allow-any"]) };
  const selecting = rules.filter((rule) => isAbout(rule, subject.labels) && speaksOf(rule, direction));
  const strict = judgeBy(selecting, () => true, packet, settings);
  if (strict.verdict === "allowed") return strict;
  const lenient = judgeBy(selecting, (rule) => rule.audit !== true, packet, settings);
  if (lenient.verdict === "denied") return { ...lenient, reasons: new Set([...lenient.reasons, ...strict.reasons]) };
  if (lenient.verdict === "dropped") return lenient;
  if (strict.verdict === "redirected" && lenient.verdict === "redirected") return conflicts(strict) > conflicts(lenient) ? lenient : strict;
  if (strict.verdict !== "dropped") return { ...strict, audited: true };
  const closing = selecting.filter((rule) => rule.audit === true && rule.enableDefaultDeny[direction]);
  return { ...strict, reasons: new Set(closing.map(({ policy }) => `${policy.name}/enableDefaultDeny.${direction}`)), audited: true };
}

function conflicts({ redirect }: OracleVerdict): number {
  return redirect === undefined ? 0 : redirect.parsers.size - 1;
}

/** `bars`: whether the rule can keep a packet from passing. */
function judgeBy(selecting: readonly Rule[], bars: (rule: Rule) => boolean, packet: OraclePacket, settings: OracleSettings): OracleVerdict {
  const { direction, subject, peer } = packet;
  const admin = firstInTier("admin", selecting, bars, packet, settings);
  if (admin !== undefined) return admin;

  const forced = settings.mode === "always" || subject.labels.has("reserved", "init");
  const denying = new Set<string>();
  let inEarnest = false;
  const allowing = new Set<string>();
  const layer7s: (Layer7 | undefined)[] = [];
  const denySections = (rule: Rule): readonly RuleSection[] => (direction === "ingress" ? rule.ingressDeny : rule.egressDeny);
  const allowSections = (rule: Rule): readonly RuleSection[] => (direction === "ingress" ? rule.ingress : rule.egress);
  const fulfils = (sectionsOf: typeof denySections): boolean =>
    selecting.every((rule) =>
      sectionsOf(rule).every(({ requires }) => (requires ?? []).every((selector) => selects(selector, peer.labels))),
    );
  const fulfilsDeny = fulfils(denySections);
  const fulfilsAllow = fulfils(allowSections);
  for (const rule of selecting) {
    for (const section of denySections(rule)) {
      for (const { path } of matching(section, packet, settings, fulfilsDeny)) {
        // Where one denies in earnest, those that are only audited deny it as well.
        denying.add(`${rule.policy.name}/${path}`);
        if (bars(rule)) inEarnest = true;
      }
    }
    for (const section of allowSections(rule)) {
      for (const { path, layer7 } of matching(section, packet, settings, fulfilsAllow)) {
        allowing.add(`${rule.policy.name}/${path}`);
        layer7s.push(bars(rule) ? layer7 : undefined);
      }
    }
  }
  if (inEarnest) return { verdict: "denied", audited: false, reasons: denying };
  const closed = forced || selecting.some((rule) => bars(rule) && rule.enableDefaultDeny[direction]);
  const everClosed = forced || selecting.some((rule) => rule.enableDefaultDeny[direction]);
  if (everClosed && direction === "ingress" && settings.allowLocalhost && peer.labels.has("reserved", "host"))
    allowing.add("allow-localhost");
  if (allowing.size > 0) return allowed(closed ? allowing : allowing.add("allow-any"), layer7s);
  if (closed) return { verdict: "dropped", audited: false, reasons: new Set() };
  const baseline = firstInTier("baseline", selecting, bars, packet, settings);
  return baseline ?? { verdict: "allowed", audited: false, reasons: new Set(["allow-any"]) };
}

/** Undefined: nobody there has decided. */
function firstInTier(
  kind: "admin" | "baseline",
  selecting: readonly Rule[],
  bars: (rule: Rule) => boolean,
  packet: OraclePacket,
  settings: OracleSettings,
): OracleVerdict | undefined {
  const rules = selecting.filter(({ tier }) => tier?.kind === kind);
  const inOrder = rules.toSorted((a, b) => (a.tier?.priority ?? 0) - (b.tier?.priority ?? 0) || (a.policy.name < b.policy.name ? -1 : 1));
  for (const rule of inOrder) {
    for (const section of rule.tier?.[packet.direction] ?? []) {
      const [match] = matching(section, packet, settings, true);
      if (match === undefined || (section.action === "deny" && !bars(rule))) continue;
      if (section.action === "pass") return undefined;
      const reasons = new Set([`${rule.policy.name}/${match.path}`]);
      return { verdict: section.action === "deny" ? "denied" : "allowed", audited: false, reasons };
    }
  }
  return undefined;
}

function allowed(reasons: ReadonlySet<string>, layer7s: ReadonlyArray<Layer7 | undefined>): OracleVerdict {
  const wanted = layer7s.filter((layer7) => layer7 !== undefined);
  if (wanted.length === 0) return { verdict: "allowed", audited: false, reasons };
  const parsers = new Set(wanted.map((layer7) => (layer7.parser === "generic" ? layer7.protocol : layer7.parser)));
  const all = layer7s.some((layer7) => layer7 === undefined || layer7.rules.length === 0);
  const rules = all ? undefined : new Set(wanted.flatMap((layer7) => layer7.rules.map((rule) => JSON.stringify(rule))));
  return { verdict: "redirected", audited: false, reasons, redirect: { parsers, rules } };
}

function isAbout({ ofNodes, endpointSelector }: Rule, labels: Labels): boolean {
  return labels.has("reserved", "host") === (ofNodes === true) && selects(endpointSelector, labels);
}

function speaksOf(rule: Rule, direction: Direction): boolean {
  if (rule.enableDefaultDeny[direction]) return true;
  const [allow, deny] = direction === "ingress" ? [rule.ingress, rule.ingressDeny] : [rule.egress, rule.egressDeny];
  return allow.length + deny.length + (rule.tier?.[direction].length ?? 0) > 0;
}

/** `fulfils`: the peer is as all rules together require of endpoints that are named by selector. */
function matching(
  section: RuleSection,
  packet: OraclePacket,
  settings: OracleSettings,
  fulfils: boolean,
): ReadonlyArray<{ readonly path: string; readonly layer7?: Layer7 }> {
  const isNamed = (peer: Peer): boolean => isPeer(peer, packet.peer, settings) && (peer.kind !== "endpoints" || fulfils);
  if (section.peers !== undefined && !section.peers.some(isNamed)) return [];
  if (section.ports === undefined) return [section];
  // A name means what the receiving end calls so.
  const receiver = packet.direction === "ingress" ? packet.subject : packet.peer;
  return section.ports.filter((group) => group.ports.some((port) => isPort(port, packet, receiver.namedPorts)));
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
    case "fqdn":
      return (end.names ?? []).some((name) => isNamed(peer.pattern, name));
    case "nodes":
      return (end.labels.has("reserved", "host") || end.labels.has("reserved", "remote-node")) && selects(peer.selector, end.labels);
  }
}

function isNamed(pattern: string, name: string): boolean {
  if (pattern === "*") return true;
  return new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("*", "[^.]*")}$`).test(name);
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
