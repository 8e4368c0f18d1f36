import { type Labels, SelectorIndex } from "@cilium-ts/labels";
import type { Family } from "@cilium-ts/net";
import { CompiledRule } from "./compiled-rule.ts";
import { VerdictLookup } from "./lookup.ts";
import { computeResolution } from "./resolution.ts";
import type { Direction, NamedPort, Rule } from "./rule.ts";
import { type CachedSelector, SelectorCache } from "./selector-cache.ts";
import type { ResolvedPolicy, Verdict } from "./verdict.ts";

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

/** What policy sees of an endpoint. */
export interface PolicySubject {
  readonly labels: Labels;
  readonly namedPorts?: readonly NamedPort[];
}

/** What a change may have altered. Whoever holds an affected subject resolves it again; it may come out the same. */
export interface PolicyChange {
  /** Keys (`subjectKey`) of subjects that were resolved since they were last named here. */
  readonly affected: ReadonlySet<string>;
  /** Prefixes that need an identity of their own from now on, so that addresses in them can be told apart. */
  readonly prefixesAdded: readonly string[];
  readonly prefixesRemoved: readonly string[];
}

/** Remembered subjects at once; a node has at most as many endpoints. */
export const subjectCountMax = 65_535;

/** Subjects that the same rules select and that mean the same by port names: they have one result. */
interface Group {
  readonly key: string;
  readonly rules: readonly CompiledRule[];
  readonly namedPorts: readonly NamedPort[];
  readonly init: boolean;
  readonly subjects: Set<Subject>;
  result: ResolvedPolicy | undefined;
}

interface Subject {
  readonly key: string;
  readonly labels: Labels;
  readonly namedPorts: readonly NamedPort[];
  /** Those that select it. */
  readonly rules: Set<CompiledRule>;
  group: Group | undefined;
}

interface PolicyRow {
  readonly content: string;
  readonly rules: readonly CompiledRule[];
}

/** Text that is equal exactly for subjects with equal results, always. */
export function subjectKey(subject: PolicySubject): string {
  return `${subject.labels.key}|${namedPortsKey(subject.namedPorts ?? [])}`;
}

/** From rules and identities to what each endpoint may do. */
export class PolicyEngine {
  readonly #options: PolicyEngineOptions;
  #mode: PolicyMode;
  readonly #cache: SelectorCache<CompiledRule>;
  readonly #peerNamedPorts = new Map<number, readonly NamedPort[]>();
  readonly #policies = new Map<string, PolicyRow>();
  readonly #rules = new SelectorIndex<CompiledRule>();
  readonly #serials = new Map<CompiledRule, number>();
  #nextSerial = 1;
  /** Egress rules with port names: they depend on the names of peers. */
  readonly #peerNameRules = new Set<CompiledRule>();
  readonly #groupsOfRule = new Map<CompiledRule, Set<Group>>();
  readonly #subjects = new Map<string, Subject>();
  readonly #groups = new Map<string, Group>();
  readonly #lookups = new WeakMap<ResolvedPolicy, VerdictLookup>();

  constructor(options: PolicyEngineOptions) {
    this.#options = options;
    this.#mode = options.mode;
    this.#cache = new SelectorCache(options);
  }

  /** Makes an identity known, or its labels or the port names of its endpoints different. */
  upsertIdentity(id: number, labels: Labels, namedPorts: readonly NamedPort[] = []): PolicyChange {
    if (id === 0) throw new RangeError("identity 0 stands for any peer in policy entries; it cannot be a peer");
    const rules = rulesOf(this.#cache.upsertIdentity(id, labels));
    if (namedPortsKey(this.#peerNamedPorts.get(id) ?? []) !== namedPortsKey(namedPorts)) {
      if (namedPorts.length === 0) this.#peerNamedPorts.delete(id);
      else this.#peerNamedPorts.set(id, namedPorts);
      for (const rule of this.#peerNameRules) rules.add(rule);
    }
    return { affected: this.#invalidate(rules), prefixesAdded: [], prefixesRemoved: [] };
  }

  removeIdentity(id: number): PolicyChange {
    const rules = rulesOf(this.#cache.removeIdentity(id));
    if (this.#peerNamedPorts.delete(id)) for (const rule of this.#peerNameRules) rules.add(rule);
    return { affected: this.#invalidate(rules), prefixesAdded: [], prefixesRemoved: [] };
  }

  /** Replaces all rules of an object. Nothing is affected when they are what they were. */
  upsertPolicy(key: string, rules: readonly Rule[]): PolicyChange {
    const content = contentOf(rules);
    const before = this.#policies.get(key);
    if (before?.content === content) return { affected: new Set(), prefixesAdded: [], prefixesRemoved: [] };
    return this.#replace(key, before, {
      content,
      rules: rules.map((rule, index) => new CompiledRule(rule, orderOf(key, index), this.#cache)),
    });
  }

  removePolicy(key: string): PolicyChange {
    return this.#replace(key, this.#policies.get(key), undefined);
  }

  setMode(mode: PolicyMode): PolicyChange {
    if (mode === this.#mode) return { affected: new Set(), prefixesAdded: [], prefixesRemoved: [] };
    this.#mode = mode;
    for (const group of this.#groups.values()) group.result = undefined;
    return { affected: new Set(this.#subjects.keys()), prefixesAdded: [], prefixesRemoved: [] };
  }

  get mode(): PolicyMode {
    return this.#mode;
  }

  /** Prefixes that need an identity of their own now. */
  referencedPrefixes(): ReadonlySet<string> {
    return new Set(this.#cache.referencedPrefixes.keys());
  }

  /** What the endpoint may do. The subject is remembered, and named in changes that concern it, until it is forgotten. */
  resolve(subject: PolicySubject): ResolvedPolicy {
    const key = subjectKey(subject);
    let known = this.#subjects.get(key);
    if (known === undefined) {
      if (this.#subjects.size >= subjectCountMax) {
        throw new Error(`policy for ${subject.labels}: ${subjectCountMax} endpoints are known already; forget those that are gone`);
      }
      const { labels, namedPorts = [] } = subject;
      known = { key, labels, namedPorts: sortNamedPorts(namedPorts), rules: this.#rules.matching(labels), group: undefined };
      this.#subjects.set(key, known);
    }
    known.group ??= this.#join(known);
    known.group.result ??= this.#compute(known.group);
    return known.group.result;
  }

  /** The last endpoint with these labels and port names is gone. */
  forget(subject: PolicySubject): void {
    const known = this.#subjects.get(subjectKey(subject));
    if (known === undefined) return;
    this.#leave(known);
    this.#subjects.delete(known.key);
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

  #replace(key: string, before: PolicyRow | undefined, after: PolicyRow | undefined): PolicyChange {
    const affected = new Set<string>();
    for (const rule of after?.rules ?? []) this.#admit(rule);
    for (const rule of before?.rules ?? []) this.#dismiss(rule);
    if (after === undefined) this.#policies.delete(key);
    else this.#policies.set(key, after);
    for (const subject of this.#subjects.values()) {
      let changed = false;
      for (const rule of before?.rules ?? []) if (subject.rules.delete(rule)) changed = true;
      for (const rule of after?.rules ?? []) {
        if (!rule.rule.endpointSelector.matches(subject.labels)) continue;
        subject.rules.add(rule);
        changed = true;
      }
      if (!changed) continue;
      this.#leave(subject);
      affected.add(subject.key);
    }
    const { added, removed } = this.#cache.takeReferenceChanges();
    return { affected, prefixesAdded: added, prefixesRemoved: removed };
  }

  #admit(rule: CompiledRule): void {
    this.#rules.add(rule, rule.rule.endpointSelector);
    this.#serials.set(rule, this.#nextSerial);
    this.#nextSerial += 1;
    if (rule.usesPortNames("egress")) this.#peerNameRules.add(rule);
  }

  #dismiss(rule: CompiledRule): void {
    this.#rules.remove(rule, rule.rule.endpointSelector);
    this.#serials.delete(rule);
    this.#peerNameRules.delete(rule);
    rule.release(this.#cache);
  }

  /** The group of all that the same rules select, made when there is none. */
  #join(subject: Subject): Group {
    const rules = [...subject.rules];
    const init = subject.labels.has("reserved", "init");
    const namedPorts = rules.some((rule) => rule.usesPortNames("ingress")) ? subject.namedPorts : [];
    const serials = Uint32Array.from(rules, (rule) => this.#serials.get(rule) ?? 0).sort();
    const key = `${init}|${namedPortsKey(namedPorts)}|${serials.join(" ")}`;
    let group = this.#groups.get(key);
    if (group === undefined) {
      rules.sort((a, b) => (a.order < b.order ? -1 : 1));
      group = { key, rules, namedPorts, init, subjects: new Set(), result: undefined };
      this.#groups.set(key, group);
      for (const rule of rules) this.#groupsOf(rule).add(group);
    }
    group.subjects.add(subject);
    return group;
  }

  #leave(subject: Subject): void {
    const group = subject.group;
    if (group === undefined) return;
    subject.group = undefined;
    group.subjects.delete(subject);
    if (group.subjects.size > 0) return;
    this.#groups.delete(group.key);
    for (const rule of group.rules) {
      const groups = this.#groupsOfRule.get(rule);
      groups?.delete(group);
      if (groups?.size === 0) this.#groupsOfRule.delete(rule);
    }
  }

  #groupsOf(rule: CompiledRule): Set<Group> {
    const groups = this.#groupsOfRule.get(rule) ?? new Set();
    this.#groupsOfRule.set(rule, groups);
    return groups;
  }

  #compute(group: Group): ResolvedPolicy {
    const enforcement = this.#mode === "never" ? "open" : group.init || this.#mode === "always" ? "enforced" : "default";
    return computeResolution({
      rules: group.rules,
      enforcement,
      allowLocalhost: this.#options.allowLocalhost !== "policy",
      namedPorts: group.namedPorts,
      peerNamedPorts: this.#peerNamedPorts,
    });
  }

  #invalidate(rules: ReadonlySet<CompiledRule>): Set<string> {
    const affected = new Set<string>();
    for (const rule of rules) {
      for (const group of this.#groupsOfRule.get(rule) ?? []) {
        group.result = undefined;
        for (const subject of group.subjects) affected.add(subject.key);
      }
    }
    return affected;
  }
}

function rulesOf(selectors: Iterable<CachedSelector<CompiledRule>>): Set<CompiledRule> {
  const rules = new Set<CompiledRule>();
  for (const selector of selectors) for (const rule of selector.users) rules.add(rule);
  return rules;
}

function sortNamedPorts(ports: readonly NamedPort[]): readonly NamedPort[] {
  return [...ports].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.protocol - b.protocol || a.port - b.port));
}

function namedPortsKey(ports: readonly NamedPort[]): string {
  if (ports.length === 0) return "";
  return JSON.stringify(sortNamedPorts(ports).map(({ name, protocol, port }) => [name, protocol, port]));
}

function orderOf(key: string, index: number): string {
  return `${key}\0${String(index).padStart(6, "0")}`;
}

/** Selectors and labels write themselves canonically. */
function contentOf(rules: readonly Rule[]): string {
  return JSON.stringify(rules);
}
