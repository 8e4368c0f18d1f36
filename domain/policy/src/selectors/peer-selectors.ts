import { clusterLabelKey, Selector } from "@cilium-ts/labels";
import { type Prefix, parsePrefix } from "@cilium-ts/net";
import { nameLabel } from "../names/name-pattern.ts";
import type { CidrGroup, Entity, Peer, PolicyService } from "../rules/rule.ts";

export interface CidrPart {
  readonly prefix: Prefix;
  readonly except: readonly Prefix[];
}

/** What a way to choose peers comes down to: any of the selectors or any of the CIDRs is enough. */
export interface PeerParts {
  /** Everybody, known or not; then there is nothing else. */
  readonly wildcard: boolean;
  readonly selectors: readonly Selector[];
  readonly cidrs: readonly CidrPart[];
}

/** What peers refer to by name. */
export interface PeerCatalogue {
  readonly clusterName: string;
  cidrGroups(): Iterable<CidrGroup>;
  services(): Iterable<PolicyService>;
}

export const anyIPv4 = "0.0.0.0/0";
export const anyIPv6 = "::/0";

const everybody: PeerParts = { wildcard: true, selectors: [], cidrs: [] };

export function partsOf(peer: Peer, catalogue: PeerCatalogue): PeerParts {
  switch (peer.kind) {
    case "endpoints":
      return ofSelectors([peer.selector]);
    case "entity":
      return partsOfEntity(peer.entity, catalogue.clusterName);
    case "cidr":
      return ofCidrs([peer.cidr], peer.except);
    case "cidrGroups": {
      const groups = [...catalogue.cidrGroups()].filter((group) => choosesGroup(peer, group));
      return ofCidrs(new Set(groups.flatMap(({ cidrs }) => cidrs)), peer.except);
    }
    case "services":
      return partsOfServices([...catalogue.services()].filter((service) => choosesService(peer, service)));
    case "fqdn":
      return ofSelectors([Selector.ofRequirements([nameRequirement(peer.pattern)])]);
    case "nodes":
      return ofSelectors(["host", "remote-node"].map((name) => peer.selector.with(isReserved(name))));
  }
}

export function choosesGroup(peer: Extract<Peer, { kind: "cidrGroups" }>, group: CidrGroup): boolean {
  return "name" in peer ? peer.name === group.name : peer.selector.matches(group.labels);
}

export function choosesService(peer: Extract<Peer, { kind: "services" }>, service: PolicyService): boolean {
  if (peer.namespace !== undefined && peer.namespace !== service.namespace) return false;
  return "name" in peer ? peer.name === service.name : peer.selector.matches(service.labels);
}

/** Text that is equal exactly for peers that choose in the same way. */
export function peerKey(peer: Peer): string {
  switch (peer.kind) {
    case "endpoints":
      return `endpoints ${peer.selector.key}`;
    case "entity":
      return `entity ${peer.entity}`;
    case "cidr":
      return `cidr ${peer.cidr} except ${[...peer.except].sort().join(" ")}`;
    case "cidrGroups":
      return `groups ${chosenKey(peer)} except ${[...peer.except].sort().join(" ")}`;
    case "services":
      return `services ${JSON.stringify(peer.namespace ?? null)} ${chosenKey(peer)}`;
    case "fqdn":
      return `fqdn ${peer.pattern}`;
    case "nodes":
      return `nodes ${peer.selector.key}`;
  }
}

function chosenKey(choice: { readonly name: string } | { readonly selector: Selector }): string {
  return "name" in choice ? `name ${JSON.stringify(choice.name)}` : `selector ${choice.selector.key}`;
}

function ofSelectors(selectors: readonly Selector[]): PeerParts {
  return selectors.some((selector) => selector.matchesEverything) ? everybody : { wildcard: false, selectors, cidrs: [] };
}

function ofCidrs(cidrs: Iterable<string>, except: readonly string[]): PeerParts {
  const holes = except.map(requirePrefix);
  return { wildcard: false, selectors: [], cidrs: Array.from(cidrs, (cidr) => ({ prefix: requirePrefix(cidr), except: holes })) };
}

/** `all` and the worlds of one family are not chosen by labels. */
function partsOfEntity(entity: Entity, clusterName: string): PeerParts {
  const reserved = (name: string): Selector => Selector.ofRequirements([isReserved(name)]);
  switch (entity) {
    case "all":
      return everybody;
    case "world-ipv4":
      return ofCidrs([anyIPv4], []);
    case "world-ipv6":
      return ofCidrs([anyIPv6], []);
    case "world":
      return ofSelectors(["world", "world-ipv4", "world-ipv6"].map(reserved));
    case "cluster":
      return ofSelectors([
        ...["host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver"].map(reserved),
        Selector.of({ matchLabels: { [`k8s:${clusterLabelKey}`]: clusterName } }),
      ]);
    default:
      return ofSelectors([reserved(entity)]);
  }
}

/** A service without a selector has its addresses; a service's selector names a namespace, so it never chooses everybody. */
function partsOfServices(services: readonly PolicyService[]): PeerParts {
  const selectors = new Map<string, Selector>();
  const addresses = new Set<string>();
  for (const { selector, addresses: own } of services) {
    if (selector !== undefined) selectors.set(selector.key, selector);
    else for (const address of own) addresses.add(`${address}/${address.includes(":") ? 128 : 32}`);
  }
  return { wildcard: false, selectors: [...selectors.values()], cidrs: ofCidrs(addresses, []).cidrs };
}

/** Identities of addresses carry a label for each pattern that means a name of theirs (`nameLabel`). */
function nameRequirement(pattern: string): Selector["requirements"][number] {
  return { source: nameLabel(pattern).source, key: pattern, operator: "In", values: [""] };
}

function isReserved(name: string): Selector["requirements"][number] {
  return { source: "reserved", key: name, operator: "In", values: [""] };
}

/** Rules are parsed before they get here: a bad prefix is our mistake, not a user's. */
export function requirePrefix(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new Error(`rule names ${JSON.stringify(text)}, which is no prefix; parse rules before adding them`);
  return prefix;
}
