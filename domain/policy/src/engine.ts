import type { Labels } from "@cilium-ts/labels";
import type { Family } from "@cilium-ts/net";
import { VerdictLookup } from "./entries/lookup.ts";
import { SubjectGroup } from "./entries/subject-group.ts";
import { namedPortsKey, type PolicySubject, Subjects, subjectKey } from "./entries/subjects.ts";
import type { ResolvedPolicy, Verdict } from "./entries/verdict.ts";
import { CompiledRule } from "./rules/compiled-rule.ts";
import { PolicyRanks, type Ranked } from "./rules/policy-ranks.ts";
import type { CidrGroup, Direction, NamedPort, PolicyService, Rule } from "./rules/rule.ts";
import { type ChosenPeers, SelectorCache } from "./selectors/selector-cache.ts";

/** `default`: an endpoint is open until a rule selects it. `always`: closed until a rule allows. `never`: open. */
export type PolicyMode = "default" | "always" | "never";

export interface PolicyEngineOptions {
  readonly mode: PolicyMode;
  /** Whether the node itself may always reach its endpoints; a deny rule still wins. `auto` is always, `policy` never. */
  readonly allowLocalhost: "auto" | "always" | "policy";
  readonly clusterName: string;
  /** With one family, `reserved:world` is the rest of that family. */
  readonly families: readonly Family[];
}

/** What a change may have altered. Whoever holds an affected subject resolves it again; it may come out the same. */
export interface PolicyChange {
  /** Keys (`subjectKey`) of subjects that were resolved since they were last named here. */
  readonly affected: ReadonlySet<string>;
  /** Prefixes that need an identity of their own from now on, so that addresses in them can be told apart. */
  readonly prefixesAdded: readonly string[];
  readonly prefixesRemoved: readonly string[];
  /** Patterns of names: addresses that have such a name need an identity with their label (`nameLabel`) from now on. */
  readonly patternsAdded: readonly string[];
  readonly patternsRemoved: readonly string[];
}

/** An object's rules. Its place among all objects stays the same as its rules change. */
interface PolicyRow extends Ranked {
  content: string;
  rules: readonly CompiledRule[];
}

/** From rules and identities to what each endpoint may do. */
export class PolicyEngine {
  #mode: PolicyMode;
  readonly #cache: SelectorCache;
  readonly #peerNamedPorts = new Map<number, readonly NamedPort[]>();
  readonly #policies = new Map<string, PolicyRow>();
  readonly #ranks = new PolicyRanks();
  readonly #subjects: Subjects;
  /** Groups and subjects whose result may be another since the last change was reported. */
  readonly #touched = new Set<SubjectGroup>();
  readonly #moved = new Set<string>();
  readonly #lookups = new WeakMap<ResolvedPolicy, VerdictLookup>();

  constructor(options: PolicyEngineOptions) {
    this.#mode = options.mode;
    this.#cache = new SelectorCache(options);
    const shared = {
      cache: this.#cache,
      allowLocalhost: options.allowLocalhost !== "policy",
      peerNamedPorts: this.#peerNamedPorts,
      mode: () => this.#mode,
      onTouched: (group: SubjectGroup) => void this.#touched.add(group),
    };
    this.#subjects = new Subjects({
      createGroup: (init, namedPorts) => new SubjectGroup({ ...shared, init, namedPorts }),
      onMoved: (key) => void this.#moved.add(key),
    });
  }

  /** Makes an identity known, or its labels or the port names of its endpoints different. */
  upsertIdentity(id: number, labels: Labels, namedPorts: readonly NamedPort[] = []): PolicyChange {
    if (id === 0) throw new RangeError("identity 0 stands for any peer in policy entries; it cannot be a peer");
    this.#cache.upsertIdentity(id, labels);
    this.#setPeerNamedPorts(id, namedPorts);
    return this.#takeChange();
  }

  removeIdentity(id: number): PolicyChange {
    this.#cache.removeIdentity(id);
    this.#setPeerNamedPorts(id, []);
    return this.#takeChange();
  }

  /** Replaces all rules of an object. Nothing is affected when they are what they were. */
  upsertPolicy(key: string, rules: readonly Rule[]): PolicyChange {
    const content = contentOf(rules);
    let policy = this.#policies.get(key);
    if (policy?.content === content) return this.#takeChange();
    if (policy === undefined) {
      policy = { key, rank: 0, content: "", rules: [] };
      this.#ranks.add(policy);
      this.#policies.set(key, policy);
    }
    const row = policy;
    const compiled = rules.map((rule, index) => new CompiledRule(rule, { policy: row, index }, this.#cache));
    this.#replace(row.rules, compiled);
    row.content = content;
    row.rules = compiled;
    return this.#takeChange();
  }

  removePolicy(key: string): PolicyChange {
    const policy = this.#policies.get(key);
    if (policy !== undefined) {
      this.#replace(policy.rules, []);
      this.#policies.delete(key);
      this.#ranks.remove(policy);
    }
    return this.#takeChange();
  }

  /** A list of CIDRs that rules refer to is there, or is another. */
  upsertCidrGroup(group: CidrGroup): PolicyChange {
    this.#cache.setCidrGroup(group.name, group);
    return this.#takeChange();
  }

  removeCidrGroup(name: string): PolicyChange {
    this.#cache.setCidrGroup(name, undefined);
    return this.#takeChange();
  }

  upsertService(service: PolicyService): PolicyChange {
    this.#cache.setService(`${service.namespace}/${service.name}`, service);
    return this.#takeChange();
  }

  removeService(namespace: string, name: string): PolicyChange {
    this.#cache.setService(`${namespace}/${name}`, undefined);
    return this.#takeChange();
  }

  setMode(mode: PolicyMode): PolicyChange {
    if (mode !== this.#mode) {
      this.#mode = mode;
      for (const group of this.#subjects.groups()) group.touchEverything();
    }
    return this.#takeChange();
  }

  get mode(): PolicyMode {
    return this.#mode;
  }

  /** Prefixes that need an identity of their own now. */
  referencedPrefixes(): ReadonlySet<string> {
    return this.#cache.namedPrefixes.texts.all();
  }

  /** Patterns of names that rules choose addresses by. */
  referencedPatterns(): ReadonlySet<string> {
    return this.#cache.namePatterns.all();
  }

  /** How rules choose their peers, and whom they choose now. */
  chosenPeers(): Iterable<ChosenPeers> {
    return this.#cache.chosen();
  }

  /** What the endpoint may do. The subject is remembered, and named in changes that concern it, until it is forgotten. */
  resolve(subject: PolicySubject): ResolvedPolicy {
    const group = this.#subjects.groupOf(subject);
    // A group that is new has been reported to nobody: there is nothing to take back.
    this.#touched.clear();
    return group.resolve();
  }

  /**
   * Does most of what the first `resolve` of a subject does, in parts of a few milliseconds: with very many rules and identities all of it
   * at once keeps others waiting. The subject is remembered from its end on.
   */
  prepare(subject: PolicySubject): Generator<void> {
    return this.#subjects.prepare(subject);
  }

  /** The last endpoint with these labels and port names is gone. */
  forget(subject: PolicySubject): void {
    this.#subjects.forget(subjectKey(subject));
    this.#touched.clear();
  }

  /** What happens to a packet of the subject, and why. Port: the destination's; for ICMP the type. Protocol: any IP protocol number. */
  explain(subject: PolicySubject, peerIdentity: number, direction: Direction, protocol: number, port: number): Verdict {
    const known = this.#subjects.has(subjectKey(subject));
    const policy = this.resolve(subject);
    if (!known) this.forget(subject);
    let lookup = this.#lookups.get(policy);
    if (lookup === undefined) {
      lookup = new VerdictLookup(policy);
      this.#lookups.set(policy, lookup);
    }
    return lookup.decide(direction, peerIdentity, protocol, port);
  }

  #replace(before: readonly CompiledRule[], after: readonly CompiledRule[]): void {
    this.#subjects.replace(before, after);
    for (const rule of before) rule.release(this.#cache);
  }

  #setPeerNamedPorts(id: number, namedPorts: readonly NamedPort[]): void {
    if (namedPortsKey(this.#peerNamedPorts.get(id) ?? []) === namedPortsKey(namedPorts)) return;
    if (namedPorts.length === 0) this.#peerNamedPorts.delete(id);
    else this.#peerNamedPorts.set(id, namedPorts);
    for (const group of this.#subjects.groups()) group.touchPortNames(id);
  }

  #takeChange(): PolicyChange {
    const affected = new Set(this.#moved);
    for (const group of this.#touched) for (const key of group.subjects) affected.add(key);
    this.#moved.clear();
    this.#touched.clear();
    const { added, removed } = this.#cache.namedPrefixes.texts.takeChanges();
    const patterns = this.#cache.namePatterns.takeChanges();
    const patternChanges = { patternsAdded: patterns.added, patternsRemoved: patterns.removed };
    return { affected, prefixesAdded: added, prefixesRemoved: removed, ...patternChanges };
  }
}

/** Selectors and labels write themselves canonically. */
function contentOf(rules: readonly Rule[]): string {
  return JSON.stringify(rules);
}
