import type { Selector } from "@cilium-ts/labels";
import { type Prefix, parsePrefix, prefixContains } from "@cilium-ts/net";
import { type Peer, type PortMatch, protocols, type Rule, type RuleSection } from "@cilium-ts/policy";

/**
 * Whether the one section is about every packet that the other is about. False also where that cannot be told without knowing who is
 * there: what is said of a policy must hold in every cluster.
 */
export function coversSection(wide: RuleSection, narrow: RuleSection): boolean {
  if (wide.requires !== undefined && wide.requires.length > 0) return false;
  return coversPeers(wide.peers, narrow.peers) && coversPorts(wide, narrow);
}

/** Whether the one rule is about every subject that the other is about. */
export function coversSubjects(wide: Rule, narrow: Rule): boolean {
  return wide.ofNodes === narrow.ofNodes && coversSelector(wide.endpointSelector, narrow.endpointSelector);
}

const requirementTexts = new WeakMap<Selector, ReadonlySet<string>>();

/** Whether whatever the narrow selector chooses the wide one chooses. */
export function coversSelector(wide: Selector, narrow: Selector): boolean {
  const given = textsOf(narrow);
  for (const text of textsOf(wide)) if (!given.has(text)) return false;
  return true;
}

function textsOf(selector: Selector): ReadonlySet<string> {
  let texts = requirementTexts.get(selector);
  if (texts === undefined) {
    texts = new Set(selector.requirements.map((requirement) => JSON.stringify(requirement)));
    requirementTexts.set(selector, texts);
  }
  return texts;
}

function coversPeers(wide: readonly Peer[] | undefined, narrow: readonly Peer[] | undefined): boolean {
  if (wide === undefined) return true;
  if (narrow === undefined) return wide.some((peer) => peer.kind === "entity" && peer.entity === "all");
  return narrow.every((peer) => wide.some((one) => coversPeer(one, peer)));
}

function coversPeer(wide: Peer, narrow: Peer): boolean {
  if (JSON.stringify(wide) === JSON.stringify(narrow)) return true;
  if (wide.kind === "entity") {
    if (wide.entity === "all") return true;
    if (narrow.kind !== "cidr") return false;
    return wide.entity === "world" || wide.entity === (narrow.cidr.includes(":") ? "world-ipv6" : "world-ipv4");
  }
  if (wide.kind === "endpoints" && narrow.kind === "endpoints") return coversSelector(wide.selector, narrow.selector);
  if (wide.kind === "nodes" && narrow.kind === "nodes") return coversSelector(wide.selector, narrow.selector);
  if (wide.kind !== "cidr" || narrow.kind !== "cidr") return false;
  const inside = parsePrefix(narrow.cidr);
  if (inside === undefined || !containsPrefix(wide.cidr, inside)) return false;
  return wide.except.every((hole) => narrow.except.some((own) => containsText(own, hole)) || isApart(hole, inside));
}

/** Whether every address of the inner prefix is one of the outer. */
export function containsPrefix(outer: string, inner: Prefix): boolean {
  const prefix = parsePrefix(outer);
  return prefix !== undefined && prefixContains(prefix, inner);
}

function containsText(outer: string, inner: string): boolean {
  const prefix = parsePrefix(inner);
  return prefix !== undefined && containsPrefix(outer, prefix);
}

function isApart(one: string, other: Prefix): boolean {
  const prefix = parsePrefix(one);
  return prefix !== undefined && !prefixContains(prefix, other) && !prefixContains(other, prefix);
}

function coversPorts(wide: RuleSection, narrow: RuleSection): boolean {
  if (wide.ports === undefined) return true;
  if (narrow.ports === undefined) return false;
  const covering = wide.ports.flatMap(({ ports }) => ports);
  return narrow.ports.every(({ ports }) => ports.every((port) => covering.some((one) => coversPort(one, port))));
}

function coversPort(wide: PortMatch, narrow: PortMatch): boolean {
  const anyTransport = wide.protocol === protocols.any && narrow.protocol !== protocols.icmp && narrow.protocol !== protocols.icmpv6;
  if (!anyTransport && wide.protocol !== narrow.protocol) return false;
  if (wide.kind === "name") return narrow.kind === "name" && wide.name === narrow.name;
  return narrow.kind === "name" ? wide.first === 0 && wide.last === 65_535 : wide.first <= narrow.first && narrow.last <= wide.last;
}
