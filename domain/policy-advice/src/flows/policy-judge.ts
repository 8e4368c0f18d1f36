import {
  cidrLabels,
  clusterIdentityMin,
  Ipcache,
  localIdentityMin,
  prefixOfLabels,
  reservedIdentities,
  reservedIdentityByName,
  reservedLabels,
} from "@cilium-ts/identity";
import type { Labels } from "@cilium-ts/labels";
import { type Family, familyOf, type Prefix, parsePrefix } from "@cilium-ts/net";
import {
  explainPacket,
  type PacketEnd,
  type PacketQuestion,
  PolicyEngine,
  type PolicySubject,
  type PolicyWorld,
  type Rule,
  subjectCountMax,
  subjectKey,
  subjectOf,
  type Verdict,
  verdictOfBoth,
} from "@cilium-ts/policy";

/** Audited: rules would deny or drop it that are only audited, so that it passes. */
export type Outcome = Verdict["verdict"] | "audited";

/** What becomes of the first packet of a connection. */
export interface Judgement {
  readonly verdict: Outcome;
  /** Undefined: no policy is about the sender. */
  readonly egress: Verdict | undefined;
  readonly ingress: Verdict | undefined;
}

/**
 * Answers many questions about one set of policies, with the engine that nodes use: each subject is resolved once. Says the same as
 * `explainPacket`, which looks at every rule anew for each question.
 */
export class PolicyJudge {
  readonly #world: PolicyWorld;
  readonly #engine: PolicyEngine;
  readonly #prefixes = new Ipcache();
  readonly #numbers = new Map<string, number>();
  readonly #subjects = new Set<string>();
  #nextNumber: number = clusterIdentityMin;
  #nextLocal: number = localIdentityMin;

  constructor(world: PolicyWorld) {
    this.#world = world;
    this.#engine = new PolicyEngine({ ...world, allowLocalhost: world.allowLocalhost ? "always" : "policy" });
    for (const group of world.cidrGroups) this.#engine.upsertCidrGroup(group);
    for (const service of world.services) this.#engine.upsertService(service);
    for (const [key, rules] of byPolicy(world.rules)) this.#engine.upsertPolicy(key, rules);
    this.#tellPrefixes();
  }

  judge(question: PacketQuestion): Judgement {
    const { from, to, protocol, port } = question;
    const [source, destination] = [this.#numberOf(from), this.#numberOf(to)];
    if (source === undefined || destination === undefined) {
      const alone = explainPacket(question, this.#world);
      return { egress: alone.egress, ingress: alone.ingress, verdict: outcomeOf(alone.egress, alone.ingress) };
    }
    const decide = (self: PacketEnd, peer: number, direction: "ingress" | "egress"): Verdict | undefined => {
      const labels = subjectOf(self, this.#world);
      return labels && this.#engine.explain(this.#remembered({ ...self, labels }), peer, direction, protocol, port);
    };
    const egress = decide(from, destination, "egress");
    const ingress = decide(to, source, "ingress");
    return { verdict: outcomeOf(egress, ingress), egress, ingress };
  }

  /** Every prefix that rules tell apart has an identity, as on a node. */
  #tellPrefixes(): void {
    for (const text of this.#engine.referencedPrefixes()) {
      const prefix = parsePrefix(text);
      if (prefix === undefined) continue;
      this.#engine.upsertIdentity(this.#nextLocal, cidrLabels(prefix, this.#world.families));
      this.#prefixes.upsert(prefix, "generated", { identity: this.#nextLocal });
      this.#nextLocal += 1;
    }
    for (const id of [reservedIdentities.world, reservedIdentities.worldIPv4, reservedIdentities.worldIPv6])
      this.#engine.upsertIdentity(id, requireReserved(id));
  }

  /** The number of an end, given to it when it is first seen. Undefined: only its labels say who it is. */
  #numberOf(end: PacketEnd): number | undefined {
    const { labels, namedPorts = [] } = end;
    const prefix = prefixOfLabels(labels);
    if (prefix !== undefined) return this.#outsideNumber(prefix, labels);
    const key = `${labels.key}${JSON.stringify(namedPorts)}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#newNumber(labels);
      if (number === undefined) return undefined;
      this.#numbers.set(key, number);
      this.#engine.upsertIdentity(number, labels, namedPorts);
    }
    return number;
  }

  /** Of the narrowest prefix that rules tell apart; of an address whose names they mean, apart from that. */
  #outsideNumber(prefix: Prefix, labels: Labels): number {
    const plain = this.#prefixes.lookup(prefix.address);
    const patterns = this.#engine.referencedPatterns();
    const meant = labels.all.filter(({ source, key }) => source === "fqdn" && patterns.has(key));
    if (meant.length > 0) {
      const around = plain === undefined ? worldLabels(prefix, this.#world.families) : cidrLabels(plain.prefix, this.#world.families);
      const own = around.with(meant);
      let number = this.#numbers.get(own.key);
      if (number === undefined) {
        number = this.#nextLocal;
        this.#nextLocal += 1;
        this.#numbers.set(own.key, number);
        this.#engine.upsertIdentity(number, own);
      }
      return number;
    }
    return plain?.identity ?? worldNumber(prefix, this.#world.families);
  }

  /** Remembered, so that it is resolved once however often it is asked about, as long as there is room. */
  #remembered({ labels, namedPorts = [] }: PacketEnd): PolicySubject {
    const subject = { labels, namedPorts };
    const key = subjectKey(subject);
    if (this.#subjects.has(key) || this.#subjects.size >= subjectCountMax - 1) return subject;
    this.#subjects.add(key);
    this.#engine.resolve(subject);
    return subject;
  }

  /** Only the node itself means something by its number; nodes that differ by more than that are told by their labels. */
  #newNumber(labels: Labels): number | undefined {
    if (labels.has("reserved", "host"))
      return labels.equals(requireReserved(reservedIdentities.host)) ? reservedIdentities.host : undefined;
    const [only, second] = labels.all;
    const reserved = only?.source === "reserved" && second === undefined ? reservedIdentityByName(only.key) : undefined;
    if (reserved !== undefined && reserved !== 0) return reserved;
    this.#nextNumber += 1;
    return this.#nextNumber;
  }
}

function outcomeOf(egress: Verdict | undefined, ingress: Verdict | undefined): Outcome {
  const verdict = verdictOfBoth(egress, ingress);
  const audited = verdict === "allowed" && [egress, ingress].some((direction) => direction?.audited === true);
  return audited ? "audited" : verdict;
}

function worldNumber({ address }: Prefix, families: readonly Family[]): number {
  if (families.length < 2) return reservedIdentities.world;
  return familyOf(address) === 4 ? reservedIdentities.worldIPv4 : reservedIdentities.worldIPv6;
}

function worldLabels(prefix: Prefix, families: readonly Family[]): Labels {
  return requireReserved(worldNumber(prefix, families));
}

function byPolicy(rules: readonly Rule[]): Map<string, Rule[]> {
  return Map.groupBy(rules, ({ policy: { kind, namespace, name } }) => `${kind}/${namespace}/${name}`);
}

function requireReserved(id: number): Labels {
  const labels = reservedLabels(id);
  if (labels === undefined) throw new RangeError(`identity ${id} is not reserved`);
  return labels;
}
