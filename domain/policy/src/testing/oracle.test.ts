import assert from "node:assert/strict";
import { test } from "node:test";
import { LocalIdentityAllocator } from "@cilium-ts/identity";
import { createRandom, type Random } from "@cilium-ts/testing";
import { PolicyEngine } from "../engine.ts";
import type { ResolvedPolicy } from "../entries/verdict.ts";
import { explainPacket, type PolicyWorld } from "../explain/explain.ts";
import type { Redirect } from "../rules/layer7.ts";
import type { Direction, Rule, RuleOrigin } from "../rules/rule.ts";
import {
  type GeneratedCluster,
  type GeneratedEnd,
  generateCluster,
  generatePacketPort,
  identityOf,
  populate,
} from "./generated-cluster.ts";
import { judge, type OraclePacket, type OracleSettings, type OracleVerdict } from "./oracle.ts";
import { simulateKernel } from "./simulated-kernel.ts";

const firstSeed = Number(process.env.POLICY_SEED ?? 1);
/** With 40 packets each. */
const clustersOfRun = process.env.CILIUM_TS_LONG === "1" ? 6_000 : 2_000;
const clusterCount = process.env.POLICY_SEED === undefined ? clustersOfRun : 1;

test(`two lookups over the entries say what the rules say, on ${clusterCount} generated clusters`, () => {
  const seen = { allowed: 0, redirected: 0, denied: 0, dropped: 0, audited: 0, droppedByHost: 0 };
  for (let seed = firstSeed; seed < firstSeed + clusterCount; seed += 1) {
    try {
      checkCluster(seed, seen);
    } catch (cause) {
      throw new Error(`seed ${seed} (run again with POLICY_SEED=${seed}): ${String(cause)}`, { cause });
    }
  }
  // A generator that never reaches a verdict would prove nothing.
  const total = seen.allowed + seen.denied + seen.dropped;
  if (clusterCount > 1) for (const count of Object.values(seen)) assert.ok(count > total / 200, JSON.stringify(seen));
});

function checkCluster(seed: number, seen: Record<OracleVerdict["verdict"] | "audited" | "droppedByHost", number>): void {
  const random = createRandom(seed);
  const cluster = generateCluster(random);
  const settings: OracleSettings = {
    mode: random.chance(0.9) ? "default" : random.pick(["always", "never"]),
    allowLocalhost: random.chance(0.7),
    clusterName: "default",
    cidrGroups: cluster.cidrGroups,
    services: cluster.services,
  };
  const engine = new PolicyEngine({
    mode: settings.mode,
    allowLocalhost: settings.allowLocalhost ? "auto" : "policy",
    clusterName: "default",
    families: cluster.families,
  });
  for (const [key, rules] of cluster.policies) engine.upsertPolicy(key, rules);
  const locals = new LocalIdentityAllocator({ families: cluster.families });
  populate(engine, cluster, locals);

  const rules = [...cluster.policies.values()].flat();
  const subjects = cluster.ends.filter(
    (end) => end.id !== undefined && ((end.id >= 256 && end.id < 0x0200_0000) || end.id === 5 || end.id === 1),
  );
  if (subjects.length === 0) return;
  for (let round = 0; round < 40; round += 1) {
    const subject = random.pick(subjects);
    const policy = engine.resolve(subject);
    if (round < 3) checkShape(policy);
    const packet = generatePacket(random, cluster, subject);
    const peerIdentity = identityOf(packet.peer, locals, cluster.families);
    const expected = judge(packet, rules, settings);
    const actual = simulateKernel(policy, packet.direction, peerIdentity, packet.protocol, packet.port);
    const story = `${packet.direction} of ${subject.labels}, peer ${packet.peer.address ?? packet.peer.labels} (${peerIdentity}), ${packet.protocol}/${packet.port}`;
    assert.deepEqual([actual.verdict, actual.audited], [expected.verdict, expected.audited], story);
    assert.deepEqual(redirectOf(actual.redirect), expected.redirect, story);
    for (const origin of actual.origins) assert.ok(expected.reasons.has(reasonOf(origin)), `${story}: ${reasonOf(origin)} is no reason`);
    assert.equal(actual.origins.length > 0, expected.verdict !== "dropped" || expected.audited, `${story}: a verdict has a reason`);
    const { entry: _, ...verdict } = actual;
    assert.deepEqual(engine.explain(subject, peerIdentity, packet.direction, packet.protocol, packet.port), verdict, story);
    seen[expected.verdict] += 1;
    if (expected.audited) seen.audited += 1;
    if (subject.id === 1 && expected.verdict === "dropped") seen.droppedByHost += 1;
    if (round % 8 === 0) checkExplanation({ packet, rules, settings, families: cluster.families, expected, story });
  }
}

interface ExplanationCase {
  readonly packet: OraclePacket;
  readonly rules: readonly Rule[];
  readonly settings: OracleSettings;
  readonly families: readonly (4 | 6)[];
  readonly expected: OracleVerdict;
  readonly story: string;
}

/** People are told the same as the kernel, with every reason; and the rule that they are offered does what it says. */
function checkExplanation({ packet, rules, settings, families, expected, story }: ExplanationCase): void {
  const { direction, subject, peer, protocol, port } = packet;
  const world: PolicyWorld = { ...settings, rules, families, hostFirewall: true };
  const ends = direction === "ingress" ? { from: peer, to: subject } : { from: subject, to: peer };
  const explanation = explainPacket({ ...ends, protocol, port }, world)[direction];
  assert.ok(explanation !== undefined, story);
  assert.deepEqual([explanation.verdict, explanation.audited], [expected.verdict, expected.audited], story);
  const says = expected.verdict === "denied" ? "deny" : "allow";
  const tiered = rules.some(({ tier }) => tier !== undefined);
  const reasons = [...explanation.origins, ...explanation.runnersUp.filter((one) => one.says === says).map(({ origin }) => origin)];
  const written = (paths: Iterable<string>): Set<string> => new Set([...paths].filter((path) => !path.startsWith("allow-")));
  // In mode never rules say nothing, but what they would say is told.
  const told = written(reasons.map(reasonOf));
  // In a tier the first rule that matches is the reason; others that say the same are told, too.
  if (settings.mode !== "never" && tiered)
    assert.deepEqual(
      [...written(expected.reasons)].filter((reason) => !told.has(reason)),
      [],
      story,
    );
  else if (settings.mode !== "never") assert.deepEqual(told, written(expected.reasons), story);
  const { remedy } = explanation;
  if (expected.verdict !== "dropped") assert.equal(remedy, undefined, story);
  if (remedy === undefined) return;
  assert.equal(judge(packet, [...rules, remedy], settings).verdict, "allowed", `${story} with ${JSON.stringify(remedy)}`);
}

function generatePacket(random: Random, cluster: GeneratedCluster, subject: GeneratedEnd) {
  const direction: Direction = random.chance(0.5) ? "ingress" : "egress";
  return { subject, peer: random.pick(cluster.ends), direction, ...generatePacketPort(random) };
}

/** As the oracle tells it. */
function redirectOf(redirect: Redirect | undefined): OracleVerdict["redirect"] {
  if (redirect === undefined) return undefined;
  const { parser, conflicts, rules } = redirect;
  return { parsers: new Set([parser, ...conflicts]), rules: rules && new Set(rules.map((rule) => JSON.stringify(rule))) };
}

function reasonOf(origin: RuleOrigin): string {
  if (origin.policy.kind !== "reserved") return `${origin.policy.name}/${origin.path}`;
  return origin.policy.name.startsWith("allow-any") ? "allow-any" : "allow-localhost";
}

function checkShape(policy: ResolvedPolicy): void {
  const keys = new Set<string>();
  for (const entry of policy.entries) {
    const { direction, identity, protocol, port, portPrefixLength, deny, precedence } = entry;
    const key = `${direction} ${identity} ${protocol} ${port}/${portPrefixLength}`;
    assert.ok(!keys.has(key), `two entries for ${key}`);
    keys.add(key);
    assert.ok(protocol !== 0 || (port === 0 && portPrefixLength === 0), key);
    assert.ok(portPrefixLength >= 0 && portPrefixLength <= 16, key);
    assert.equal(port & (0xffff >> portPrefixLength), 0, `${key} has bits beyond its length`);
    const settled = precedence >= 0x100 && precedence < 0x200;
    assert.ok(precedence >= 0x8000_0000 ? deny : !deny || settled || identity === 0, key);
    assert.equal(precedence & 0xff, protocol === 0 ? 0 : 8 + portPrefixLength, key);
  }
}
