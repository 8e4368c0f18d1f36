import type { Selector } from "@cilium-ts/labels";
import type { CachedSelector, SelectorCache } from "../selectors/selector-cache.ts";
import type { Layer7 } from "./layer7.ts";
import { originHash } from "./origins.ts";
import { type PortKey, portBlocks, portKeyOf } from "./port-prefix.ts";
import {
  type Direction,
  type NamedPort,
  type Peer,
  type PortMatch,
  type Protocol,
  protocols,
  type Rule,
  type RuleOrigin,
  type RuleSection,
  type Tier,
  type TierSection,
} from "./rule.ts";

export interface NamedPortMatch {
  readonly name: string;
  readonly protocol: Protocol;
}

/** One thing that a rule says about its peers: a section with one of its lists of ports. */
export interface Statement {
  readonly rule: CompiledRule;
  /** Its place among the statements of the rule in this direction. */
  readonly index: number;
  readonly deny: boolean;
  /** Of a tier: neither allowed nor denied here, but as the next tier says. */
  readonly pass: boolean;
  readonly layer7: Layer7 | undefined;
  readonly origin: RuleOrigin;
  readonly selectors: readonly CachedSelector[];
  /** No peers were named, or one of the selectors is a wildcard: everybody. */
  readonly anyPeer: boolean;
  /** Blocks known now. All protocols and ports where the rule named none. */
  readonly keys: readonly PortKey[];
  /** Names, which depend on the endpoint that receives the traffic. */
  readonly named: readonly NamedPortMatch[];
}

export interface CompiledDirection {
  /** The rule has something to say in this direction. */
  readonly selects: boolean;
  readonly defaultDeny: boolean;
  /** What a packet is told that nobody allows and that only audited rules would drop. Undefined: the rule would not, or means it. */
  readonly auditedDefaultDeny: RuleOrigin | undefined;
  /** What it says is more than to allow or to deny: what all say has to be settled for each block of ports. */
  readonly needsSettling: boolean;
  /** Depends on what endpoints call their ports. */
  readonly usesPortNames: boolean;
  readonly statements: readonly Statement[];
}

/** Where a rule stands among all: that of its object, which may move as others come, and its place in the object. */
export interface RuleOrder {
  readonly policy: { readonly rank: number };
  readonly index: number;
}

/** Requirements on endpoints named by selector, by direction and by what the section does. */
export type Requirements = Readonly<Record<"ingress" | "ingressDeny" | "egress" | "egressDeny", readonly Selector[]>>;

/** A rule with its peers turned into shared selectors and its ports into blocks. Holds its selectors until released. */
export class CompiledRule {
  readonly rule: Rule;
  readonly order: RuleOrder;
  /** Rules are asked in the order of their tiers, and in a tier by priority; those of no tier stand together at `normalPlace`. */
  readonly place: number;
  readonly audit: boolean;
  readonly ingress: CompiledDirection;
  readonly egress: CompiledDirection;
  /** Undefined: it requires nothing. */
  readonly requirements: Requirements | undefined;

  constructor(rule: Rule, order: RuleOrder, cache: SelectorCache) {
    this.rule = rule;
    this.order = order;
    this.place = placeOf(rule.tier);
    this.audit = rule.audit === true;
    this.ingress = compileDirection(this, "ingress", cache);
    this.egress = compileDirection(this, "egress", cache);
    this.requirements = requirementsOf(rule);
  }

  release(cache: SelectorCache): void {
    for (const { statements } of [this.ingress, this.egress]) {
      for (const { selectors } of statements) for (const selector of selectors) cache.release(selector);
    }
  }
}

/** The order in which statements name themselves as reasons: the same whatever order their rules came in. */
export function compareStatements(a: Statement, b: Statement): number {
  return compareRules(a.rule, b.rule) || a.index - b.index;
}

export function compareRules(one: CompiledRule, other: CompiledRule): number {
  if (one.place !== other.place) return one.place - other.place;
  return one.order.policy.rank - other.order.policy.rank || one.order.index - other.order.index;
}

/** Of rules that stand in no tier. */
export const normalPlace = 1 << 20;

function placeOf(tier: Tier | undefined): number {
  if (tier === undefined) return normalPlace;
  return tier.kind === "admin" ? tier.priority : normalPlace + 1 + tier.priority;
}

/** True when a port of an endpoint is what a name in a rule asks for. */
export function matchesNamedPort(match: NamedPortMatch, port: NamedPort): boolean {
  if (match.name !== port.name) return false;
  return match.protocol === port.protocol || (match.protocol === protocols.any && expandProtocol(protocols.any).includes(port.protocol));
}

function compileDirection(compiled: CompiledRule, direction: Direction, cache: SelectorCache): CompiledDirection {
  const { rule } = compiled;
  const [allow, deny] = direction === "ingress" ? [rule.ingress, rule.ingressDeny] : [rule.egress, rule.egressDeny];
  const statements: Statement[] = [];
  for (const section of allow) compileSection(compiled, section, "accept", cache, statements);
  for (const section of deny) compileSection(compiled, section, "deny", cache, statements);
  for (const section of rule.tier?.[direction] ?? []) compileSection(compiled, section, section.action, cache, statements);
  const defaultDeny = rule.enableDefaultDeny[direction];
  const usesPortNames = statements.some(({ named }) => named.length > 0);
  const selects = defaultDeny || statements.length > 0;
  return {
    selects,
    defaultDeny,
    auditedDefaultDeny: rule.audit === true && defaultDeny ? originOf(rule, `enableDefaultDeny.${direction}`) : undefined,
    needsSettling: selects && (compiled.audit || rule.tier !== undefined || statements.some(({ layer7 }) => layer7 !== undefined)),
    usesPortNames,
    statements,
  };
}

function compileSection(
  rule: CompiledRule,
  section: RuleSection,
  action: TierSection["action"],
  cache: SelectorCache,
  statements: Statement[],
): void {
  for (const { path, ports, layer7 } of section.ports ?? [{ path: section.path, ports: undefined, layer7: undefined }]) {
    const selectors = acquireAll(section.peers ?? [], cache);
    const anyPeer = section.peers === undefined || selectors.some((selector) => selector.wildcard);
    const index = statements.length;
    const origin = originOf(rule.rule, path);
    const says = { deny: action === "deny", pass: action === "pass", layer7 };
    statements.push({ rule, index, ...says, origin, selectors, anyPeer, ...compilePorts(ports) });
  }
}

/** Each once, however often the section names it. */
function acquireAll(peers: readonly Peer[], cache: SelectorCache): CachedSelector[] {
  const selectors = new Set<CachedSelector>();
  for (const peer of peers) {
    const selector = cache.acquire(peer);
    if (selectors.has(selector)) cache.release(selector);
    selectors.add(selector);
  }
  return [...selectors];
}

const everyPort: Pick<Statement, "keys" | "named"> = { keys: [portKeyOf(protocols.any, 0, 0)], named: [] };

function compilePorts(ports: readonly PortMatch[] | undefined): Pick<Statement, "keys" | "named"> {
  if (ports === undefined) return everyPort;
  const keys = new Set<PortKey>();
  const named: NamedPortMatch[] = [];
  for (const match of ports) {
    if (match.kind === "name") {
      named.push({ name: match.name, protocol: match.protocol });
      continue;
    }
    for (const protocol of expandProtocol(match.protocol)) {
      for (const { port, length } of portBlocks(match.first, match.last)) keys.add(portKeyOf(protocol, port, length));
    }
  }
  return { keys: [...keys], named };
}

function expandProtocol(protocol: Protocol): readonly Protocol[] {
  return protocol === protocols.any ? [protocols.tcp, protocols.udp, protocols.sctp] : [protocol];
}

function originOf(rule: Rule, path: string): RuleOrigin {
  const origin = Object.freeze(rule.log === undefined ? { policy: rule.policy, path } : { policy: rule.policy, path, log: rule.log });
  originHash(origin); // Remembered now, once for all whom the rule selects.
  return origin;
}

function requirementsOf(rule: Rule): Requirements | undefined {
  const of = (sections: readonly RuleSection[]): readonly Selector[] => sections.flatMap(({ requires }) => requires ?? []);
  const requirements = {
    ingress: of(rule.ingress),
    ingressDeny: of(rule.ingressDeny),
    egress: of(rule.egress),
    egressDeny: of(rule.egressDeny),
  };
  return Object.values(requirements).every((selectors) => selectors.length === 0) ? undefined : requirements;
}
