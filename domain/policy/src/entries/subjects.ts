import { type Labels, SelectorIndex } from "@cilium-ts/labels";
import type { CompiledRule } from "../rules/compiled-rule.ts";
import { mixBits } from "../rules/mix-bits.ts";
import type { NamedPort } from "../rules/rule.ts";
import { isHost, selects } from "../rules/rule-subject.ts";
import type { SubjectGroup } from "./subject-group.ts";

/** What policy sees of an endpoint. */
export interface PolicySubject {
  readonly labels: Labels;
  readonly namedPorts?: readonly NamedPort[];
}

/** Remembered subjects at once; a node has at most as many endpoints. */
export const subjectCountMax = 65_535;

/** Of a result that is prepared. */
const rulesAtOnce = 500;
const attemptsMax = 3;

interface KnownSubject {
  readonly key: string;
  readonly labels: Labels;
  readonly namedPorts: readonly NamedPort[];
  group: SubjectGroup;
}

export interface SubjectsOptions {
  /** Without rules. */
  createGroup(init: boolean, namedPorts: readonly NamedPort[]): SubjectGroup;
  /** The subject has another group, and with it perhaps another result. */
  onMoved(key: string): void;
}

/** Text that is equal exactly for subjects with equal results, always. */
export function subjectKey(subject: PolicySubject): string {
  return `${subject.labels.key}|${namedPortsKey(subject.namedPorts ?? [])}`;
}

/** Who is asked about, sorted into groups that the same rules select. */
export class Subjects {
  readonly #options: SubjectsOptions;
  readonly #rules = new SelectorIndex<CompiledRule>();
  /** Those about nodes. */
  readonly #hostRules = new SelectorIndex<CompiledRule>();
  readonly #hashes = new WeakMap<CompiledRule, readonly [number, number]>();
  readonly #subjects = new Map<string, KnownSubject>();
  readonly #groups = new Map<string, SubjectGroup>();
  #nextSerial = 1;
  /** Moves with every change of rules. */
  #version = 0;

  constructor(options: SubjectsOptions) {
    this.#options = options;
  }

  keys(): Iterable<string> {
    return this.#subjects.keys();
  }

  groups(): Iterable<SubjectGroup> {
    return this.#groups.values();
  }

  has(key: string): boolean {
    return this.#subjects.has(key);
  }

  /** The group of the subject, which is remembered until it is forgotten. */
  groupOf(subject: PolicySubject): SubjectGroup {
    const key = subjectKey(subject);
    const known = this.#subjects.get(key);
    if (known !== undefined) return known.group;
    if (this.#subjects.size >= subjectCountMax) {
      throw new Error(`policy for ${subject.labels}: ${subjectCountMax} endpoints are known already; forget those that are gone`);
    }
    const { labels } = subject;
    const namedPorts = sortNamedPorts(subject.namedPorts ?? []);
    const group = this.#groupWith(this.#rulesAbout(labels), labels.has("reserved", "init"), namedPorts);
    this.#join({ key, labels, namedPorts, group });
    return group;
  }

  #join(subject: KnownSubject): void {
    subject.group.subjects.add(subject.key);
    this.#subjects.set(subject.key, subject);
  }

  /**
   * Makes the group of the subject in parts, with its result. Rules that change in between make it begin again, and at last leave it to
   * `groupOf`. Nobody knows the subject before the end.
   */
  *prepare(subject: PolicySubject): Generator<void> {
    for (let attempt = 0; attempt < attemptsMax && !this.has(subjectKey(subject)); attempt += 1) {
      const version = this.#version;
      const { labels } = subject;
      const rules = this.#rulesAbout(labels);
      yield;
      const namedPorts = sortNamedPorts(subject.namedPorts ?? []);
      const names = namesFor(rules, namedPorts);
      const key = keyOf(labels.has("reserved", "init"), names, this.#hashAfter([0, 0], [], rules), rules.length);
      const group = this.#find(key, rules) ?? this.#options.createGroup(labels.has("reserved", "init"), names);
      const isNew = group.ruleCount === 0 && rules.length > 0;
      for (let from = 0; isNew && from < rules.length && version === this.#version; from += rulesAtOnce) {
        group.change([], rules.slice(from, from + rulesAtOnce));
        yield;
      }
      if (version === this.#version) yield* group.prepare();
      const done = version === this.#version;
      if (done && isNew && this.#find(key, rules) === undefined) {
        group.hash = this.#hashAfter([0, 0], [], rules);
        this.#register(group, key);
      } else if (isNew) group.close();
      const found = done && this.#subjects.size < subjectCountMax ? this.#find(key, rules) : undefined;
      if (found !== undefined && !this.has(subjectKey(subject))) this.#join({ key: subjectKey(subject), labels, namedPorts, group: found });
      if (done) return;
    }
  }

  forget(key: string): void {
    const known = this.#subjects.get(key);
    if (known === undefined) return;
    this.#subjects.delete(key);
    this.#leave(known);
  }

  /** Some rules give way to others. Subjects stay with their group where all of it is concerned in the same way. */
  replace(removed: readonly CompiledRule[], added: readonly CompiledRule[]): void {
    this.#version += 1;
    for (const rule of removed) this.#indexOf(rule).remove(rule, rule.rule.endpointSelector);
    for (const rule of added) {
      this.#indexOf(rule).add(rule, rule.rule.endpointSelector);
      this.#hashes.set(rule, hashOf(this.#nextSerial));
      this.#nextSerial += 1;
    }
    const concerned = this.#partition(removed, added);
    // Nobody may join a group that has still to change.
    for (const group of concerned.keys()) this.#groups.delete(group.key);
    for (const [group, parts] of concerned) {
      const gone = removed.filter((rule) => group.has(rule));
      const [first, ...others] = [...parts].sort((a, b) => b.subjects.length - a.subjects.length);
      for (const part of others) this.#split(group, gone, part);
      if (first !== undefined) this.#change(group, gone, first);
    }
  }

  #indexOf({ rule }: CompiledRule): SelectorIndex<CompiledRule> {
    return rule.ofNodes === true ? this.#hostRules : this.#rules;
  }

  #rulesAbout(subject: Labels): CompiledRule[] {
    return [...(isHost(subject) ? this.#hostRules : this.#rules).matching(subject)];
  }

  /** The groups that are concerned, with those of their subjects together that end with the same rules and names. */
  #partition(removed: readonly CompiledRule[], added: readonly CompiledRule[]): Map<SubjectGroup, Iterable<Part>> {
    const concerned = new Map<SubjectGroup, Map<string, Part>>();
    const unconcerned = new Map<SubjectGroup, KnownSubject[]>();
    for (const subject of this.#subjects.values()) {
      const { group, labels } = subject;
      const came = added.filter((rule) => selects(rule.rule, labels));
      if (came.length === 0 && !concerned.has(group) && !removed.some((rule) => group.has(rule))) {
        const waiting = unconcerned.get(group);
        if (waiting === undefined) unconcerned.set(group, [subject]);
        else waiting.push(subject);
        continue;
      }
      let parts = concerned.get(group);
      if (parts === undefined) {
        parts = new Map();
        concerned.set(group, parts);
        for (const other of unconcerned.get(group) ?? []) addToPart(parts, other, [], removed);
      }
      addToPart(parts, subject, came, removed);
    }
    return new Map([...concerned].map(([group, parts]) => [group, parts.values()]));
  }

  #change(group: SubjectGroup, gone: readonly CompiledRule[], part: Part): void {
    if (gone.length > 0 || part.added.length > 0) {
      group.namedPorts = part.namedPorts;
      group.hash = this.#hashAfter(group.hash, gone, part.added);
      group.change(gone, part.added);
    }
    const key = keyOf(group.init, group.namedPorts, group.hash, group.ruleCount);
    const same = this.#find(key, group.rules);
    if (same === undefined) {
      this.#register(group, key);
      return;
    }
    for (const subject of part.subjects) {
      subject.group = same;
      same.subjects.add(subject.key);
      this.#options.onMoved(subject.key);
    }
    group.subjects.clear();
    group.close();
  }

  /** A part of the group goes on by itself, from what it had in common with the rest. */
  #split(group: SubjectGroup, gone: readonly CompiledRule[], part: Part): void {
    const own = group.copy();
    for (const subject of part.subjects) {
      group.subjects.delete(subject.key);
      own.subjects.add(subject.key);
      subject.group = own;
      this.#options.onMoved(subject.key);
    }
    this.#change(own, gone, part);
  }

  #groupWith(rules: readonly CompiledRule[], init: boolean, namedPorts: readonly NamedPort[]): SubjectGroup {
    const names = namesFor(rules, namedPorts);
    const hash = this.#hashAfter([0, 0], [], rules);
    const key = keyOf(init, names, hash, rules.length);
    const known = this.#find(key, rules);
    if (known !== undefined) return known;
    const group = this.#options.createGroup(init, names);
    group.hash = hash;
    group.change([], rules);
    this.#register(group, key);
    return group;
  }

  /** The group of exactly these rules; their number is part of the key. */
  #find(key: string, rules: Iterable<CompiledRule>): SubjectGroup | undefined {
    const group = this.#groups.get(key);
    if (group === undefined) return undefined;
    for (const rule of rules) if (!group.has(rule)) return undefined;
    return group;
  }

  /** Two sets of rules with one key are as good as impossible; the second is then found by nobody but its subjects. */
  #register(group: SubjectGroup, key: string): void {
    group.key = key;
    while (this.#groups.has(group.key)) group.key += "+";
    this.#groups.set(group.key, group);
  }

  #leave(subject: KnownSubject): void {
    const { group } = subject;
    group.subjects.delete(subject.key);
    if (group.subjects.size > 0) return;
    this.#groups.delete(group.key);
    group.close();
  }

  #hashAfter(hash: readonly [number, number], gone: readonly CompiledRule[], came: readonly CompiledRule[]): readonly [number, number] {
    let [one, two] = hash;
    for (const rule of [...gone, ...came]) {
      const own = this.#hashes.get(rule) ?? [0, 0];
      one ^= own[0];
      two ^= own[1];
    }
    return [one, two];
  }
}

/** Subjects of one group that a change concerns in the same way. */
interface Part {
  readonly added: readonly CompiledRule[];
  readonly namedPorts: readonly NamedPort[];
  readonly subjects: KnownSubject[];
}

function addToPart(parts: Map<string, Part>, subject: KnownSubject, came: readonly CompiledRule[], removed: readonly CompiledRule[]): void {
  const uses = came.some((rule) => rule.ingress.usesPortNames) || usesNamesWithout(subject.group, removed);
  const namedPorts = uses ? subject.namedPorts : [];
  const key = `${came.map(({ order }) => order.index).join(" ")}|${namedPortsKey(namedPorts)}`;
  const part = parts.get(key);
  if (part === undefined) parts.set(key, { added: came, namedPorts, subjects: [subject] });
  else part.subjects.push(subject);
}

function usesNamesWithout(group: SubjectGroup, removed: readonly CompiledRule[]): boolean {
  return group.ownPortNameRuleCount > removed.filter((rule) => rule.ingress.usesPortNames && group.has(rule)).length;
}

function keyOf(init: boolean, namedPorts: readonly NamedPort[], [one, two]: readonly [number, number], count: number): string {
  return `${init}|${namedPortsKey(namedPorts)}|${count}|${one}|${two}`;
}

/** Two numbers of 32 bits that look random, of a serial number that never comes again. */
function hashOf(serial: number): readonly [number, number] {
  return [mixBits(serial ^ 0x9e37_79b9), mixBits(Math.imul(serial, 0x85eb_ca6b) ^ 0x27d4_eb2f)];
}

export function sortNamedPorts(ports: readonly NamedPort[]): readonly NamedPort[] {
  return [...ports].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.protocol - b.protocol || a.port - b.port));
}

export function namedPortsKey(ports: readonly NamedPort[]): string {
  if (ports.length === 0) return "";
  return JSON.stringify(sortNamedPorts(ports).map(({ name, protocol, port }) => [name, protocol, port]));
}

/** The subject's own names matter where a rule about what it receives uses names. */
function namesFor(rules: readonly CompiledRule[], namedPorts: readonly NamedPort[]): readonly NamedPort[] {
  return rules.some((rule) => rule.ingress.usesPortNames) ? namedPorts : [];
}
