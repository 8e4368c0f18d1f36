import assert from "node:assert/strict";
import { test } from "node:test";
import { LocalIdentityAllocator } from "@cilium-ts/identity";
import { Labels, Selector } from "@cilium-ts/labels";
import { createRandom, type Random } from "@cilium-ts/testing";
import { PolicyEngine, type PolicyEngineOptions } from "../engine.ts";
import { type PolicySubject, subjectKey } from "../entries/subjects.ts";
import { type CidrGroup, type NamedPort, type PolicyService, protocols, type Rule } from "../rules/rule.ts";
import { generateCluster } from "./generated-cluster.ts";

const base: PolicyEngineOptions = { mode: "default", allowLocalhost: "policy", clusterName: "default", families: [4, 6] };
const firstSeed = Number(process.env.POLICY_SEED ?? 1);
const wayCount = process.env.POLICY_SEED !== undefined ? 1 : process.env.CILIUM_TS_LONG === "1" ? 1_000 : 80;

/**
 * Whatever order a state is reached in, with whatever detours, it is the same state; and whoever resolves only what is named as
 * affected never holds a stale result.
 */
test(`a state has one result, whatever the way to it, and changes name all that they touch, on ${wayCount} ways`, () => {
  for (let seed = firstSeed; seed < firstSeed + wayCount; seed += 1) checkWays(seed, createRandom(seed));
});

/** Few rules, many identities: what is done one by one and what is done at once come to the same. */
test("many identities at once come to the same as one after the other", () => {
  const random = createRandom(7);
  const identities = 400;
  const labelsOf = (index: number): Labels =>
    Labels.parse([`k8s:app=app-${index % 7}`, `k8s:pod=${index}`, ...(index % 3 === 0 ? ["k8s:odd=yes"] : [])]);
  const wide = (name: string, selector: Selector, port: number): Rule => {
    const ports = [
      { path: "ingress[0].toPorts[0]", ports: [{ kind: "number" as const, protocol: protocols.tcp, first: port, last: port }] },
    ];
    const section = { path: "ingress[0]", peers: [{ kind: "endpoints" as const, selector }], ports };
    return {
      policy: { kind: "CiliumNetworkPolicy", namespace: "default", name, uid: "", labels: [] },
      endpointSelector: Selector.everything,
      ...{ ingress: [section], ingressDeny: [], egress: [], egressDeny: [] },
      enableDefaultDeny: { ingress: true, egress: false },
    };
  };
  const someone: PolicySubject = { labels: labelsOf(0) };
  const walker = new PolicyEngine(base);
  const rules = new Map<string, Rule>();
  const known = new Map<number, Labels>();
  walker.resolve(someone);
  for (let round = 0; round < 400; round += 1) {
    const count = random.chance(0.2) ? 1 + random.below(200) : 1;
    for (let step = 0; step < count; step += 1) {
      const id = 256 + random.below(identities);
      if (known.has(id) && random.chance(0.5)) {
        known.delete(id);
        walker.removeIdentity(id);
      } else {
        known.set(id, labelsOf(random.below(identities)));
        walker.upsertIdentity(id, known.get(id) ?? Labels.empty);
      }
    }
    const name = `rule-${random.below(3)}`;
    const selector = random.pick([{ matchLabels: { odd: "yes" } }, { matchExpressions: [{ key: "app", operator: "Exists" as const }] }]);
    rules.set(name, wide(name, Selector.of(selector), 80 + random.below(50)));
    for (const [key, rule] of rules) walker.upsertPolicy(key, [rule]);
    const held = walker.resolve(someone);
    if (round % 10 !== 0) continue;
    const fresh = new PolicyEngine(base);
    for (const [key, rule] of rules) fresh.upsertPolicy(key, [rule]);
    for (const [id, labels] of known) fresh.upsertIdentity(id, labels);
    // In parts, while an identity goes and comes again.
    const [someId, someLabels] = [...known][0] ?? [256, Labels.empty];
    for (const _ of fresh.prepare(someone)) {
      fresh.removeIdentity(someId);
      if (known.has(someId)) fresh.upsertIdentity(someId, someLabels);
    }
    assert.deepEqual(held, fresh.resolve(someone), `round ${round}`);
  }
});

interface State {
  readonly policies: ReadonlyMap<string, readonly Rule[]>;
  readonly identities: ReadonlyMap<number, { readonly labels: Labels; readonly namedPorts: readonly NamedPort[] }>;
  readonly cidrGroups: ReadonlyMap<string, CidrGroup>;
  readonly services: ReadonlyMap<string, PolicyService>;
}

const nothing: State = { policies: new Map(), identities: new Map(), cidrGroups: new Map(), services: new Map() };

type Step = () => ReadonlySet<string>;

function checkWays(seed: number, random: Random): void {
  const options: PolicyEngineOptions = { ...base, allowLocalhost: random.pick(["auto", "policy"]) };
  const locals = new LocalIdentityAllocator({ families: [4, 6] });
  const states = [1, 2, 3].map(() => generateState(random, locals));
  const walker = new PolicyEngine(options);
  const subjects: PolicySubject[] = [
    ...new Map(states.flatMap((state) => [...state.identities.values()].map((row) => [subjectKey(row), row]))).values(),
  ];
  const held = new Map(subjects.map((subject) => [subjectKey(subject), walker.resolve(subject).fingerprint]));
  let current = nothing;
  // States that are passed over are changes that were squashed into the next.
  for (const target of [...[...states, nothing].filter(() => random.chance(0.8)), states[0]]) {
    assert.ok(target !== undefined);
    // In any order, some twice, some in parts or by a detour, some results asked for late: nothing of it may matter.
    const affected = new Set<string>();
    for (const step of interleave(random, waysBetween(random, walker, current, target))) {
      for (const key of step()) affected.add(key);
      if (random.chance(0.5)) settle(walker, subjects, affected, held);
      if (random.chance(0.05)) forgetOne(walker, random.pick(subjects), held);
    }
    settle(walker, subjects, affected, held);
    current = target;
    const fresh = new PolicyEngine(options);
    for (const step of stepsBetween(fresh, nothing, target)) step();
    for (const subject of subjects) {
      assert.equal(held.get(subjectKey(subject)), fresh.resolve(subject).fingerprint, `seed ${seed}, ${subject.labels}`);
      assert.deepEqual(walker.resolve(subject), fresh.resolve(subject), `seed ${seed}, ${subject.labels}`);
    }
    assert.deepEqual([...walker.referencedPrefixes()].sort(), [...fresh.referencedPrefixes()].sort(), `seed ${seed}`);
  }
}

function settle(engine: PolicyEngine, subjects: readonly PolicySubject[], affected: Set<string>, held: Map<string, string>): void {
  for (const subject of subjects) {
    const key = subjectKey(subject);
    if (affected.has(key)) held.set(key, engine.resolve(subject).fingerprint);
  }
  affected.clear();
}

/** An endpoint goes, and another of its kind comes. */
function forgetOne(engine: PolicyEngine, subject: PolicySubject, held: Map<string, string>): void {
  engine.forget(subject);
  held.set(subjectKey(subject), engine.resolve(subject).fingerprint);
}

function generateState(random: Random, locals: LocalIdentityAllocator): State {
  const cluster = generateCluster(random);
  const identities = new Map<number, { labels: Labels; namedPorts: readonly NamedPort[] }>();
  for (const { id, labels, namedPorts } of cluster.ends) if (id !== undefined) identities.set(id, { labels, namedPorts });
  const engine = new PolicyEngine(base);
  for (const [key, rules] of cluster.policies) engine.upsertPolicy(key, rules);
  for (const group of cluster.cidrGroups) engine.upsertCidrGroup(group);
  for (const service of cluster.services) engine.upsertService(service);
  for (const prefix of engine.referencedPrefixes()) {
    const allocation = locals.acquire(prefix);
    if (allocation.ok) identities.set(allocation.identity.id, { labels: allocation.identity.labels, namedPorts: [] });
  }
  return {
    policies: cluster.policies,
    identities,
    cidrGroups: new Map(cluster.cidrGroups.map((group) => [group.name, group])),
    services: new Map(cluster.services.map((service) => [`${service.namespace}/${service.name}`, service])),
  };
}

function stepsBetween(engine: PolicyEngine, from: State, to: State): Step[] {
  const steps: Step[] = [];
  const gone = <K>(before: ReadonlyMap<K, unknown>, after: ReadonlyMap<K, unknown>): K[] =>
    [...before.keys()].filter((key) => !after.has(key));
  for (const key of gone(from.policies, to.policies)) steps.push(() => engine.removePolicy(key).affected);
  for (const id of gone(from.identities, to.identities)) steps.push(() => engine.removeIdentity(id).affected);
  for (const name of gone(from.cidrGroups, to.cidrGroups)) steps.push(() => engine.removeCidrGroup(name).affected);
  for (const key of gone(from.services, to.services)) {
    const [namespace = "", name = ""] = key.split("/");
    steps.push(() => engine.removeService(namespace, name).affected);
  }
  for (const [key, rules] of to.policies) steps.push(() => engine.upsertPolicy(key, rules).affected);
  for (const [id, { labels, namedPorts }] of to.identities) steps.push(() => engine.upsertIdentity(id, labels, namedPorts).affected);
  for (const group of to.cidrGroups.values()) steps.push(() => engine.upsertCidrGroup(group).affected);
  for (const service of to.services.values()) steps.push(() => engine.upsertService(service).affected);
  return steps;
}

/** Each change by itself; some twice, some policies with a part of their rules first, some taken away before they come again. */
function waysBetween(random: Random, engine: PolicyEngine, from: State, to: State): Step[][] {
  const ways = stepsBetween(engine, from, to).map((step) => (random.chance(0.1) ? [step, step] : [step]));
  for (const [key, rules] of to.policies) {
    const whole: Step = () => engine.upsertPolicy(key, rules).affected;
    if (random.chance(0.2)) ways.push([() => engine.upsertPolicy(key, rules.slice(0, random.below(rules.length + 1))).affected, whole]);
    if (random.chance(0.1)) ways.push([() => engine.removePolicy(key).affected, whole]);
  }
  for (const [id, { labels, namedPorts }] of to.identities) {
    if (!random.chance(0.1)) continue;
    ways.push([() => engine.removeIdentity(id).affected, () => engine.upsertIdentity(id, labels, namedPorts).affected]);
  }
  return ways;
}

/** One order of all, in which each way keeps its own. */
function interleave<T>(random: Random, ways: readonly (readonly T[])[]): T[] {
  const rest = ways.map((way) => [...way]);
  const merged: T[] = [];
  while (rest.length > 0) {
    const at = random.below(rest.length);
    const [next] = rest[at]?.splice(0, 1) ?? [];
    if (next !== undefined) merged.push(next);
    if (rest[at]?.length === 0) rest.splice(at, 1);
  }
  return merged;
}

test("what is prepared in parts, with changes in between, is what is computed at once, in 200 ways", () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = createRandom(seed);
    const locals = new LocalIdentityAllocator({ families: [4, 6] });
    const [first, second] = [generateState(random, locals), generateState(random, locals)];
    const [walker, fresh] = [new PolicyEngine(base), new PolicyEngine(base)];
    for (const step of stepsBetween(walker, nothing, first)) step();
    const subjects = [...second.identities.values()];
    const steps = [...interleave(random, waysBetween(random, walker, first, second))];
    for (const subject of subjects) {
      for (const _ of walker.prepare(subject)) {
        if (random.chance(0.2)) steps.shift()?.();
        if (random.chance(0.1)) walker.resolve(random.pick(subjects));
      }
    }
    for (const step of steps) step();
    for (const step of stepsBetween(fresh, nothing, second)) step();
    for (const subject of subjects) assert.deepEqual(walker.resolve(subject), fresh.resolve(subject), `seed ${seed}`);
  }
});
