import { type PortKey, portBlocks, portKeyOf } from "./port-prefix.ts";
import {
  type Direction,
  type NamedPort,
  type PortMatch,
  type Protocol,
  protocols,
  type Rule,
  type RuleOrigin,
  type RuleSection,
} from "./rule.ts";
import type { CachedSelector, SelectorCache } from "./selector-cache.ts";

export interface NamedPortMatch {
  readonly name: string;
  readonly protocol: Protocol;
}

/** Ports of one origin: blocks known now, and names that depend on the endpoint. Neither: every protocol and port. */
export interface CompiledPorts {
  readonly origins: readonly RuleOrigin[];
  readonly every: boolean;
  readonly keys: readonly PortKey[];
  readonly named: readonly NamedPortMatch[];
}

export interface CompiledSection {
  readonly deny: boolean;
  readonly selectors: readonly CachedSelector<CompiledRule>[];
  /** No peers were named, or one of the selectors is a wildcard: everybody. */
  readonly anyPeer: boolean;
  readonly ports: readonly CompiledPorts[];
}

export interface CompiledDirection {
  /** The rule has something to say in this direction. */
  readonly selects: boolean;
  readonly defaultDeny: boolean;
  /** Depends on what endpoints call their ports. */
  readonly usesPortNames: boolean;
  readonly sections: readonly CompiledSection[];
}

function compileDirection(rule: Rule, direction: Direction, cache: SelectorCache<CompiledRule>, user: CompiledRule): CompiledDirection {
  const allow = direction === "ingress" ? rule.ingress : rule.egress;
  const deny = direction === "ingress" ? rule.ingressDeny : rule.egressDeny;
  const defaultDeny = rule.enableDefaultDeny[direction];
  const sections = [
    ...allow.map((section) => compileSection(rule, section, false, cache, user)),
    ...deny.map((section) => compileSection(rule, section, true, cache, user)),
  ];
  const usesPortNames = sections.some((section) => section.ports.some((ports) => ports.named.length > 0));
  return { selects: defaultDeny || sections.length > 0, defaultDeny, usesPortNames, sections };
}

/** A rule with its peers turned into shared selectors and its ports into blocks. */
export class CompiledRule {
  readonly rule: Rule;
  /** Orders rules the same whatever order they came in. */
  readonly order: string;
  readonly ingress: CompiledDirection;
  readonly egress: CompiledDirection;

  constructor(rule: Rule, order: string, cache: SelectorCache<CompiledRule>) {
    this.rule = rule;
    this.order = order;
    this.ingress = compileDirection(rule, "ingress", cache, this);
    this.egress = compileDirection(rule, "egress", cache, this);
  }

  release(cache: SelectorCache<CompiledRule>): void {
    for (const { sections } of [this.ingress, this.egress]) {
      for (const section of sections) for (const selector of section.selectors) cache.release(selector, this);
    }
  }

  usesPortNames(direction: Direction): boolean {
    return this[direction].usesPortNames;
  }
}

/** True when a port of an endpoint is what a name in a rule asks for. */
export function matchesNamedPort(match: NamedPortMatch, port: NamedPort): boolean {
  if (match.name !== port.name) return false;
  return match.protocol === port.protocol || (match.protocol === protocols.any && expandProtocol(protocols.any).includes(port.protocol));
}

function compileSection(
  rule: Rule,
  section: RuleSection,
  deny: boolean,
  cache: SelectorCache<CompiledRule>,
  user: CompiledRule,
): CompiledSection {
  const selectors = (section.peers ?? []).map((peer) => cache.acquire(peer, user));
  const anyPeer = section.peers === undefined || selectors.some((selector) => selector.wildcard);
  const ports = section.ports ?? [{ path: section.path, ports: undefined }];
  return { deny, selectors, anyPeer, ports: ports.map(({ path, ports }) => compilePorts(originsOf(rule, path), ports)) };
}

function compilePorts(origins: readonly RuleOrigin[], ports: readonly PortMatch[] | undefined): CompiledPorts {
  const keys = new Set<PortKey>();
  const named: NamedPortMatch[] = [];
  for (const match of ports ?? []) {
    if (match.kind === "name") {
      named.push({ name: match.name, protocol: match.protocol });
      continue;
    }
    for (const protocol of expandProtocol(match.protocol)) {
      for (const { port, length } of portBlocks(match.first, match.last)) keys.add(portKeyOf(protocol, port, length));
    }
  }
  return { origins, every: ports === undefined, keys: [...keys], named };
}

function expandProtocol(protocol: Protocol): readonly Protocol[] {
  return protocol === protocols.any ? [protocols.tcp, protocols.udp, protocols.sctp] : [protocol];
}

function originsOf(rule: Rule, path: string): readonly RuleOrigin[] {
  const origin: RuleOrigin = rule.log === undefined ? { policy: rule.policy, path } : { policy: rule.policy, path, log: rule.log };
  return Object.freeze([Object.freeze(origin)]);
}
