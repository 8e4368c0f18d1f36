import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { LocalIdentityAllocator } from "@cilium-ts/identity";
import { openKubernetes } from "@cilium-ts/kubernetes";
import { Lab, ownPlace } from "@cilium-ts/lab";
import { Selector } from "@cilium-ts/labels";
import { PolicyEngine, type PolicySubject } from "@cilium-ts/policy";
import { addPods, deletePods } from "./bench-pods.ts";
import { loadRules, policyChanges } from "./enforced-changes.ts";
import { benchPolicyAdvice } from "./policy-advice.ts";
import { type ClusterSize, firstIdentity, keyOf, labelsOf, load, type RuleKind, ruleOf, subject } from "./policy-clusters.ts";
import { createRow, median, type Row, type Samples } from "./report.ts";

/** What the incumbent's engine needs for 1,000 rules; ms. */
const incumbents: Readonly<Partial<Record<RuleKind, number>>> = { l3: 8, cidr: 28, "cidr-deny": 133 };
const aims: Readonly<Partial<Record<RuleKind, number>>> = { l3: 3, cidr: 10, "cidr-deny": 10 };
const changeAimMs = 5;
/** Policies must not keep the event loop from anything else for longer. */
const blockAimMs = 20;
const enforcedAimMs = 30;
const sizes = [100, 1_000, 10_000];

type Add = (samples: Samples) => void;

/** Cold results, single changes, memory, and how they grow, of the engine alone; then one change, from the API server into the kernel. */
export async function benchPolicy(root: string, options: { repeats: number }): Promise<Row[]> {
  const rows: Row[] = [];
  const add: Add = (samples) => void rows.push(createRow(samples));
  warmUp();
  for (const kind of ["l3", "cidr", "cidr-deny"] as const) {
    const cold = new Map<string, number>();
    const change = new Map<string, number>();
    for (const rules of sizes) {
      // The identities that CIDR rules choose are those of their CIDRs: the others are only there.
      for (const identities of sizes) {
        say(`${rules} ${kind} rules, ${identities} identities`);
        measureSize({ kind, rules, identities }, options.repeats, add, cold, change);
      }
    }
    addGrowth(kind, "cold", cold, add);
    addGrowth(kind, "one-rule-change", change, add);
  }
  say("25 endpoints with rules of their own");
  addDistinctEndpoints(options.repeats, add);
  say("5,000 identities, one after another");
  addIdentities(add);
  say("memory");
  addMemory(add);
  say("what-if, suggest and lint");
  benchPolicyAdvice(options.repeats, add);
  say("25 endpoints with 1,000 rules, in the kernel");
  await addEnforced(root, options.repeats, add);
  return rows;
}

function measureSize(size: ClusterSize, repeats: number, add: Add, cold: Map<string, number>, change: Map<string, number>): void {
  const { kind, rules, identities } = size;
  const engine = createEngine();
  const importMs = timeMs(() => load(engine, size, createLocals()));
  const name = `${kind}-${rules}-rules-${identities}-identities`;
  const results = repeat(repeats, () => {
    engine.forget(subject);
    return timeMs(() => void engine.resolve(subject));
  });
  const asIncumbent = rules === 1_000 && identities === 1_000;
  const aim = asIncumbent ? aims[kind] : undefined;
  const incumbent = asIncumbent ? incumbents[kind] : undefined;
  const parts = identities === 10_000 ? repeat(repeats, () => longestPart(engine, subject)) : [];
  add({ name: `cold-${name}`, unit: "ms", ours: results, ...(aim && { aim: atMost(aim) }), ...(incumbent && { incumbent }) });
  const ruleChanges = repeat(3 * repeats, (index) =>
    timeMs(() => {
      engine.upsertPolicy(keyOf(7), [ruleOf(kind, 7, index + 1)]);
      engine.resolve(subject);
    }),
  );
  const changeAim = rules === 1_000 && identities === 10_000 ? { aim: atMost(changeAimMs) } : {};
  add({ name: `one-rule-change-${name}`, unit: "ms", ours: ruleChanges, ...changeAim });
  const identityChanges = repeat(3 * repeats, (index) =>
    timeMs(() => {
      engine.upsertIdentity(firstIdentity + identities + index, labelsOf("peer-7", `k8s:pod=new-${index}`));
      engine.resolve(subject);
    }),
  );
  add({ name: `one-identity-change-${name}`, unit: "ms", ours: identityChanges, ...changeAim });
  if (identities === 10_000) {
    add({ name: `import-${name}`, unit: "ms", ours: [importMs] });
    const partings = repeat(3 * repeats, (index) => partingMs(engine, kind, index));
    const modes = repeat(repeats, (index) => modeChangeMs(engine, index));
    add({ name: `first-result-longest-part-${name}`, unit: "ms", ours: parts, aim: atMost(blockAimMs) });
    add({ name: `rule-that-parts-two-endpoints-${name}`, unit: "ms", ours: partings, ...changeAim });
    add({ name: `mode-change-${name}`, unit: "ms", ours: modes });
    // What an agent does in one turn: between any two of these others have theirs. In the worst there is what else the machine did.
    const turns = [parts, ruleChanges, identityChanges, partings, modes];
    add({ name: `longest-block-${name}`, unit: "ms", ours: [Math.max(...turns.map(median))], aim: atMost(blockAimMs) });
    add({ name: `longest-block-worst-${name}`, unit: "ms", ours: [Math.max(...turns.flat())] });
  }
  cold.set(`${rules}/${identities}`, median(results));
  change.set(`${rules}/${identities}`, median(ruleChanges));
}

/** Two endpoints have all rules in common; one more selects only one of them, and the other's result stays what it was. */
function partingMs(engine: PolicyEngine, kind: RuleKind, index: number): number {
  const other: PolicySubject = { labels: labelsOf("subject", "k8s:pod=other") };
  engine.resolve(subject);
  engine.resolve(other);
  const partingMs = timeMs(() => {
    engine.upsertPolicy("parting", [ruleOf(kind, 5, index + 1, Selector.of({ matchLabels: { pod: "other" } }))]);
    engine.resolve(other);
  });
  engine.removePolicy("parting");
  engine.forget(other);
  return partingMs;
}

/** What somebody asks for by `cilium-dbg config`: every endpoint's result is made again at once. */
function modeChangeMs(engine: PolicyEngine, index: number): number {
  engine.resolve(subject);
  const changeMs = timeMs(() => {
    engine.setMode(index % 2 === 0 ? "always" : "default");
    engine.resolve(subject);
  });
  engine.setMode("default");
  engine.resolve(subject);
  return changeMs;
}

/** A first result in parts: the longest of them, and what is left to do at once. */
function longestPart(engine: PolicyEngine, one: PolicySubject): number {
  engine.forget(one);
  const parts = engine.prepare(one);
  let longest = 0;
  for (let ended = false; !ended; ) {
    const partMs = timeMs(() => {
      ended = parts.next().done === true;
    });
    longest = Math.max(longest, partMs);
  }
  return Math.max(
    longest,
    timeMs(() => void engine.resolve(one)),
  );
}

/** Time at ten times the size over time at the size: 10 is in proportion. */
function addGrowth(kind: RuleKind, what: string, values: ReadonlyMap<string, number>, add: Add): void {
  for (const small of [100, 1_000]) {
    const grown = (before: string, after: string): number => (values.get(after) ?? Number.NaN) / (values.get(before) ?? Number.NaN);
    const rules = grown(`${small}/1000`, `${small * 10}/1000`);
    add({ name: `growth-${what}-${kind}-${small * 10}-to-${small}-rules`, unit: "times", ours: [rules], aim: atMost(15) });
    const identities = grown(`1000/${small}`, `1000/${small * 10}`);
    add({ name: `growth-${what}-${kind}-${small * 10}-to-${small}-identities`, unit: "times", ours: [identities], aim: atMost(15) });
  }
}

/** Every endpoint has 1,000 rules that all share and one of its own, so that nobody shares a result. */
function addDistinctEndpoints(repeats: number, add: Add): void {
  for (const kind of ["l3", "cidr-deny"] as const) {
    const engine = createEngine();
    load(engine, { kind, rules: 1_000, identities: 1_000 }, createLocals());
    const subjects: PolicySubject[] = [];
    for (let index = 0; index < 25; index += 1) {
      engine.upsertPolicy(`own-${index}`, [ruleOf("l4", index, index, Selector.of({ matchLabels: { own: `${index}` } }))]);
      subjects.push({ labels: labelsOf("subject", `k8s:own=${index}`) });
    }
    const blocks = subjects.map((one) => longestPart(engine, one));
    add({ name: `longest-block-${kind}-1000-rules-25-endpoints`, unit: "ms", ours: blocks, aim: atMost(blockAimMs) });
    const ours = repeat(3 * repeats, (index) =>
      timeMs(() => {
        engine.upsertPolicy(keyOf(7), [ruleOf(kind, 7, index + 1)]);
        for (const one of subjects) engine.resolve(one);
      }),
    );
    add({ name: `one-rule-change-${kind}-1000-rules-25-endpoints`, unit: "ms", ours, aim: atMost(changeAimMs) });
  }
}

function addIdentities(add: Add): void {
  const engine = createEngine();
  load(engine, { kind: "l3", rules: 1_000, identities: 1_000 }, createLocals());
  engine.resolve(subject);
  const steps: number[] = [];
  for (let index = 0; index < 5_000; index += 1) {
    steps.push(
      timeMs(() => {
        engine.upsertIdentity(10_000 + index, labelsOf(`peer-${index % 1_000}`, `k8s:pod=late-${index}`));
        engine.resolve(subject);
      }),
    );
  }
  add({ name: "identity-added-one-of-5000", unit: "ms", ours: steps, aim: atMost(changeAimMs) });
  add({ name: "identity-added-one-of-5000-worst", unit: "ms", ours: [Math.max(...steps)], aim: atMost(blockAimMs) });
}

/** From the write of a changed rule to the last of 25 endpoints that judges by it, with 1,000 rules that all of them have. */
async function addEnforced(root: string, repeats: number, add: Add): Promise<void> {
  await using lab = await Lab.start({ root, ...ownPlace("b") });
  await using client = await openKubernetes({ kubeconfigPath: lab.kubeconfigPath });
  await addPods(lab, client, "s", 25, 1);
  await loadRules(client, 1_000);
  const ours = await policyChanges(lab, client, 25, Math.max(5, repeats));
  await deletePods(lab, "s", 25);
  add({ name: "rule-change-enforced-25-endpoints-1000-rules", unit: "ms", ours, aim: atMost(enforcedAimMs), incumbent: 2_000 });
}

/** Bytes held for each identity and each policy, results included, of 10,000. */
function addMemory(add: Add): void {
  setFlagsFromString("--expose-gc");
  const gc: () => void = runInNewContext("gc");
  const held = (): number => {
    gc();
    return process.memoryUsage().heapUsed;
  };
  const engine = createEngine();
  const before = held();
  load(engine, { kind: "l3", rules: 0, identities: 10_000 }, createLocals());
  const withIdentities = held();
  for (let index = 0; index < 10_000; index += 1) engine.upsertPolicy(keyOf(index), [ruleOf("l3", index)]);
  const withPolicies = held();
  engine.resolve(subject);
  const withResult = held();
  add({ name: "memory-per-identity", unit: "bytes", ours: [(withIdentities - before) / 10_000] });
  add({ name: "memory-per-policy", unit: "bytes", ours: [(withPolicies - withIdentities) / 10_000] });
  add({ name: "memory-of-a-result-of-10000-rules", unit: "bytes", ours: [withResult - withPolicies] });
  engine.forget(subject);
}

function warmUp(): void {
  for (const kind of ["l3", "l4", "cidr", "cidr-deny"] as const) {
    const engine = createEngine();
    load(engine, { kind, rules: 300, identities: 1_000 }, createLocals());
    for (let index = 0; index < 20; index += 1) {
      engine.forget(subject);
      engine.resolve(subject);
      engine.upsertPolicy(keyOf(3), [ruleOf(kind, 3, index + 1)]);
      engine.resolve(subject);
    }
  }
}

function createEngine(): PolicyEngine {
  return new PolicyEngine({ mode: "default", allowLocalhost: "auto", clusterName: "default", families: [4, 6] });
}

function createLocals(): LocalIdentityAllocator {
  return new LocalIdentityAllocator({ families: [4, 6] });
}

function atMost(at: number): NonNullable<Samples["aim"]> {
  return { of: "value", better: "lower", at };
}

function repeat(count: number, measure: (index: number) => number): number[] {
  return Array.from({ length: count }, (_, index) => measure(index));
}

function timeMs(work: () => void): number {
  const startNs = process.hrtime.bigint();
  work();
  return Number(process.hrtime.bigint() - startNs) / 1e6;
}

function say(what: string): void {
  console.error(`bench policy: ${what}`);
}
