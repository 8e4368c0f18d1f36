import type { ServicePolicy } from "./policy-state.ts";
import { isFromResponder, type SeenFlow, type SeenRequest, type VerdictKind } from "./seen-flow.ts";
import { describeService, type Service, type ServiceRole, serviceIdOf } from "./service.ts";

/** Who calls whom, on which port. */
export interface Link {
  readonly id: string;
  /** Short, for messages that name many links; never given twice within a map. */
  readonly number: number;
  /** Ids of services. */
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  /** Zero where the protocol has none, and for what is left of a pair with very many ports. */
  readonly port: number;
  readonly verdicts: readonly VerdictKind[];
  readonly authentication: string;
  readonly isEncrypted: boolean;
  readonly requests: readonly LinkRequest[];
}

/** `GET /orders`, and how often it was seen. */
export interface LinkRequest {
  readonly kind: SeenRequest["kind"];
  readonly method: string;
  readonly target: string;
  readonly count: number;
}

/** Flows of a link since it was first seen, by verdict: forwarded, dropped, audit, error. */
export type LinkCounts = readonly [number: number, forwarded: number, dropped: number, audit: number, error: number];

export interface MapChanges {
  readonly services: readonly Service[];
  readonly links: readonly Link[];
  readonly counts: readonly LinkCounts[];
  readonly removedServices: readonly string[];
  readonly removedLinks: readonly string[];
}

export interface ServiceMapLimits {
  readonly serviceCountMax: number;
  readonly linkCountMax: number;
  /** A link without a flow for so long goes, and services without links with it. */
  readonly linkAgeMs: number;
}

export const defaultServiceMapLimits: ServiceMapLimits = { serviceCountMax: 5_000, linkCountMax: 20_000, linkAgeMs: 3_600_000 };

/** What policies mean for a service now. */
export type PolicyOf = (service: Service) => ServicePolicy | null;

/** A port scan must not fill the map: further ports of one pair share a link without a port. */
const portsPerPairMax = 64;
const requestsPerLinkMax = 50;
const tombstoneCountMax = 10_000;

interface MappedService {
  service: Service;
  version: number;
  linkCount: number;
}

interface MappedLink {
  readonly id: string;
  readonly number: number;
  readonly pair: string;
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  readonly port: number;
  readonly counts: Record<VerdictKind, number>;
  readonly requests: Map<string, { readonly kind: SeenRequest["kind"]; readonly method: string; readonly target: string; count: number }>;
  authentication: string;
  isEncrypted: boolean;
  lastMs: number;
  /** When what it is changed, and when its counts did. */
  version: number;
  countsVersion: number;
}

/**
 * Folds flows into services and links. Every change gets the next version, so that each reader asks for what came after the version that it has, however
 * long it was away: nothing is queued for slow readers.
 */
export class ServiceMap {
  readonly #limits: ServiceMapLimits;
  readonly #policyOf: PolicyOf;
  readonly #services = new Map<string, MappedService>();
  /** The one without flows for longest first. */
  readonly #links = new Map<string, MappedLink>();
  readonly #portsOfPair = new Map<string, number>();
  readonly #tombstones: { readonly kind: "service" | "link"; readonly id: string; readonly version: number }[] = [];
  #version = 0;
  /** Readers before this version have missed a removal that is no longer known. */
  #oldestVersion = 0;
  #nextNumber = 1;
  /** Links that had to go for others. */
  evicted = 0;

  constructor(limits: ServiceMapLimits = defaultServiceMapLimits, policyOf: PolicyOf = () => null) {
    this.#limits = limits;
    this.#policyOf = policyOf;
  }

  get version(): number {
    return this.#version;
  }

  get size(): { readonly services: number; readonly links: number } {
    return { services: this.#services.size, links: this.#links.size };
  }

  /** Whether `changesSince(version)` can be told; a reader for whom it can't starts anew from 0, with nothing. */
  knows(version: number): boolean {
    return version >= this.#oldestVersion && version <= this.#version;
  }

  /** Counts the flow. */
  add(flow: SeenFlow): void {
    this.#version += 1;
    const [caller, called] = isFromResponder(flow) ? [flow.destination, flow.source] : [flow.source, flow.destination];
    const source = serviceIdOf(caller, "sender");
    const destination = serviceIdOf(called, "receiver");
    const pair = `${source} ${destination}`;
    const link = this.#linkOf(flow, pair, source, destination, called.port);
    if (link.version === 0) {
      this.#touchService(source, () => this.#describe(caller, "sender"));
      this.#touchService(destination, () => this.#describe(called, "receiver"));
      link.version = this.#version;
    }
    if (link.counts[flow.verdict] === 0) link.version = this.#version;
    link.counts[flow.verdict] += 1;
    link.countsVersion = this.#version;
    link.lastMs = Math.max(link.lastMs, flow.timeMs);
    this.#noteQualities(link, flow);
    this.#learnNames(source, caller, "sender");
    this.#learnNames(destination, called, "receiver");
  }

  /** Policies mean something else than before: those cards are told whose policy differs. */
  updatePolicies(): void {
    this.#version += 1;
    for (const mapped of this.#services.values()) {
      const { policy: before } = mapped.service;
      const policy = this.#policyOf(mapped.service);
      if (before?.ingress === policy?.ingress && before?.egress === policy?.egress) continue;
      mapped.service = { ...mapped.service, policy };
      mapped.version = this.#version;
    }
  }

  /** Lets go what was not seen for too long. */
  expire(nowMs: number): void {
    for (const link of this.#links.values()) {
      if (link.lastMs + this.#limits.linkAgeMs >= nowMs) break;
      this.#removeLink(link);
    }
  }

  /** What changed after `version`; everything after 0. Ask `knows` first. */
  changesSince(version: number): MapChanges {
    const removed = this.#tombstones.filter((tombstone) => tombstone.version > version);
    const idsOf = (kind: "service" | "link", present: ReadonlyMap<string, unknown>): string[] => [
      ...new Set(removed.filter((tombstone) => tombstone.kind === kind && !present.has(tombstone.id)).map(({ id }) => id)),
    ];
    const services: Service[] = [];
    for (const mapped of this.#services.values()) if (mapped.version > version) services.push(mapped.service);
    const links: Link[] = [];
    const counts: LinkCounts[] = [];
    for (const link of this.#links.values()) {
      if (link.version > version) links.push(linkOf(link));
      const { number, counts: count } = link;
      if (link.countsVersion > version) counts.push([number, count.forwarded, count.dropped, count.audit, count.error]);
    }
    return { services, links, counts, removedServices: idsOf("service", this.#services), removedLinks: idsOf("link", this.#links) };
  }

  #linkOf(flow: SeenFlow, pair: string, source: string, destination: string, calledPort: number): MappedLink {
    const { protocol } = flow;
    let port = calledPort;
    let id = linkId(source, protocol, destination, port);
    let found = this.#links.get(id);
    if (found === undefined && (this.#portsOfPair.get(pair) ?? 0) >= portsPerPairMax) {
      port = 0;
      id = linkId(source, protocol, destination, port);
      found = this.#links.get(id);
    }
    if (found !== undefined) {
      this.#links.delete(id); // To the end of the line.
      this.#links.set(id, found);
      return found;
    }
    if (this.#links.size >= this.#limits.linkCountMax) this.#evictOldest();
    const counts = { forwarded: 0, dropped: 0, audit: 0, error: 0 };
    const link: MappedLink = {
      id,
      number: this.#nextNumber,
      pair,
      source,
      destination,
      protocol,
      port,
      counts,
      requests: new Map(),
      authentication: "",
      isEncrypted: false,
      lastMs: 0,
      version: 0,
      countsVersion: 0,
    };
    this.#nextNumber += 1;
    this.#links.set(id, link);
    this.#portsOfPair.set(pair, (this.#portsOfPair.get(pair) ?? 0) + 1);
    return link;
  }

  #touchService(id: string, describe: () => Service): void {
    const found = this.#services.get(id);
    if (found !== undefined) {
      found.linkCount += 1;
      return;
    }
    while (this.#services.size >= this.#limits.serviceCountMax && this.#links.size > 1) this.#evictOldest();
    this.#services.set(id, { service: describe(), version: this.#version, linkCount: 1 });
  }

  /** What a service is known by may be learned late: names by DNS, labels when the pod is known. */
  #learnNames(id: string, end: SeenFlow["source"], role: ServiceRole): void {
    const mapped = this.#services.get(id);
    if (mapped === undefined) return;
    const { service } = mapped;
    const knowsMore =
      (service.labels.length === 0 && end.labels.length > 0) ||
      (service.workloads.length === 0 && end.workloads.length > 0) ||
      (service.namespace === "" && end.namespace !== "") ||
      (service.names.length === 0 && end.names.length > 0);
    if (!knowsMore) return;
    mapped.service = this.#describe(end, role);
    mapped.version = this.#version;
  }

  #describe(end: SeenFlow["source"], role: ServiceRole): Service {
    const service = describeService(end, role);
    return { ...service, policy: this.#policyOf(service) };
  }

  #noteQualities(link: MappedLink, { authentication, isEncrypted, request }: SeenFlow): void {
    if (authentication !== "" && authentication !== link.authentication) {
      link.authentication = authentication;
      link.version = this.#version;
    }
    if (isEncrypted && !link.isEncrypted) {
      link.isEncrypted = true;
      link.version = this.#version;
    }
    if (request === undefined || request.status !== 0 || request.method === "") return;
    const key = `${request.kind} ${request.method} ${request.target}`;
    const known = link.requests.get(key);
    if (known !== undefined) known.count += 1;
    else if (link.requests.size < requestsPerLinkMax) {
      link.requests.set(key, { kind: request.kind, method: request.method, target: request.target, count: 1 });
      link.version = this.#version;
    }
  }

  #evictOldest(): void {
    const [oldest] = this.#links.values();
    if (oldest === undefined) return;
    this.evicted += 1;
    this.#removeLink(oldest);
  }

  #removeLink(link: MappedLink): void {
    this.#version += 1;
    this.#links.delete(link.id);
    this.#bury("link", link.id);
    const ports = (this.#portsOfPair.get(link.pair) ?? 1) - 1;
    if (ports === 0) this.#portsOfPair.delete(link.pair);
    else this.#portsOfPair.set(link.pair, ports);
    if (link.version === 0) return; // Its services were never told.
    for (const id of [link.source, link.destination]) {
      const mapped = this.#services.get(id);
      if (mapped === undefined) continue;
      mapped.linkCount -= 1;
      if (mapped.linkCount > 0) continue;
      this.#services.delete(id);
      this.#bury("service", id);
    }
  }

  #bury(kind: "service" | "link", id: string): void {
    this.#tombstones.push({ kind, id, version: this.#version });
    if (this.#tombstones.length <= tombstoneCountMax) return;
    for (const { version } of this.#tombstones.splice(0, tombstoneCountMax / 2)) this.#oldestVersion = version;
  }
}

function linkId(source: string, protocol: string, destination: string, port: number): string {
  return `${source} ${protocol} ${destination}:${port}`;
}

function linkOf({ id, number, source, destination, protocol, port, counts, authentication, isEncrypted, requests }: MappedLink): Link {
  const verdicts = (Object.keys(counts) as VerdictKind[]).filter((verdict) => counts[verdict] > 0);
  return { id, number, source, destination, protocol, port, verdicts, authentication, isEncrypted, requests: [...requests.values()] };
}
