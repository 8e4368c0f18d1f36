import assert from "node:assert/strict";
import { test } from "node:test";
import { reservedPeers } from "@cilium-ts/identity";
import { type KubernetesObject, parseCiliumClusterwideNetworkPolicy } from "@cilium-ts/kubernetes";
import { Labels } from "@cilium-ts/labels";
import { PolicyEngine, type ResolvedPolicy, type Rule } from "@cilium-ts/policy";
import type { FormerRow, GuardRecord } from "./guard-file.ts";
import { confirmAnnotation } from "./host-policies.ts";
import { HostPolicyGuard } from "./host-policy-guard.ts";
import type { LifelineFacts } from "./lifelines.ts";
import type { Trial } from "./trial.ts";

const apiServer = { address: "10.0.0.1", port: 6443, isHere: false, identity: 7 };
const facts: LifelineFacts = { apiServers: [apiServer], sshPorts: [{ port: 22, sessions: [] }], nodes: [6] };
const none: LifelineFacts = { ...facts, sshPorts: [] };

function policy(name: string, spec: object, annotations: Record<string, string> = {}): KubernetesObject {
  const kind = "CiliumClusterwideNetworkPolicy";
  return { apiVersion: "cilium.io/v2", kind, metadata: { name, uid: name, annotations }, spec: { nodeSelector: {}, ...spec } };
}

const closed = { egress: [{ toEntities: ["world"] }] };
const open = { egress: [{ toEntities: ["world", "kube-apiserver"] }] };
const noSsh = { ingress: [{ fromEntities: ["cluster"], toPorts: [{ ports: [{ port: "10250", protocol: "TCP" }] }] }] };

/** A node of which the test moves the time; what the kernel has is the last policy that was made effective. */
class GuardedNode {
  nowMs = 1_000_000;
  facts = facts;
  record: GuardRecord | undefined;
  row: FormerRow | undefined;
  held: FormerRow | undefined;
  readonly told: string[] = [];
  subject = { labels: Labels.parse(["reserved:host"]) };
  engine!: PolicyEngine;
  guard!: HostPolicyGuard;
  #inForce: ResolvedPolicy | undefined;
  #isOpen = false;
  #sets = 0;

  constructor() {
    this.start();
  }

  /** Another run of the agent: the kernel, the disk and the clock on the wall are what stays. */
  start(): void {
    this.engine = new PolicyEngine({ mode: "default", allowLocalhost: "auto", clusterName: "default", families: [4, 6] });
    for (const [id, labels] of reservedPeers()) this.engine.upsertIdentity(id, labels);
    this.#inForce = undefined;
    this.#isOpen = false;
    this.guard = new HostPolicyGuard({
      revertAfterMs: 60_000,
      nowMs: () => this.nowMs,
      file: {
        read: () => this.record,
        write: (record) => {
          this.record = JSON.parse(JSON.stringify(record));
        },
      },
      rulesOf: (object) => parse(object),
      facts: () => this.facts,
      currentRow: () => this.row,
      holdRow: (row) => {
        this.held = row;
      },
      restoreRow: (row) => {
        this.row = row;
      },
      applyRules: (policies) => {
        for (const [key, rules] of policies) this.engine.upsertPolicy(key, rules);
        this.#carryOut();
      },
      onTrial: (trial) => void this.told.push(trial.kind === "tried" ? `tried: ${trial.lost.join(", ")}` : trial.kind),
    });
  }

  /** The first lists are complete. */
  list(...objects: KubernetesObject[]): void {
    this.guard.setLabels(this.subject.labels);
    for (const object of objects) this.engine.upsertPolicy(key(object), this.guard.take(key(object), object, parse(object)));
    this.guard.open();
    this.#isOpen = true;
    this.#carryOut();
  }

  apply(object: KubernetesObject): void {
    this.engine.upsertPolicy(key(object), this.guard.take(key(object), object, parse(object)));
    this.#carryOut();
  }

  delete(object: KubernetesObject): void {
    this.engine.upsertPolicy(key(object), this.guard.drop(key(object)));
    this.#carryOut();
  }

  /** The node's object has other labels. */
  label(...labels: string[]): void {
    this.subject = { labels: Labels.parse(["reserved:host", ...labels]) };
    this.guard.setLabels(this.subject.labels);
    this.#enforce();
  }

  after(ms: number): void {
    this.nowMs += ms;
    this.guard.tick();
  }

  /** What the kernel lets through: `api` and `ssh`, by the policy that was made effective; `set N` of an earlier run. */
  get passes(): string {
    const decide = (direction: "ingress" | "egress", peer: number, port: number): boolean =>
      this.engine.explain(this.subject, peer, direction, 6, port).verdict === "allowed";
    return [decide("egress", 7, 6443) ? "api" : "", decide("ingress", 2, 22) ? "ssh" : ""].filter((name) => name !== "").join(" ");
  }

  get kind(): Trial["kind"] {
    return this.guard.trial.kind;
  }

  #carryOut(): void {
    if (!this.#isOpen) return;
    this.#enforce();
    this.guard.carriedOut();
  }

  #enforce(): void {
    const next = this.engine.resolve(this.subject);
    if (next.fingerprint === this.#inForce?.fingerprint) return;
    this.guard.judge(next, this.#inForce);
    this.#inForce = next;
    this.#sets += 1;
    this.row = { policySet: this.#sets, ingressEnforced: next.ingressEnforced, egressEnforced: next.egressEnforced, audit: false };
  }
}

function parse(object: KubernetesObject): readonly Rule[] {
  const { rules, problems } = parseCiliumClusterwideNetworkPolicy(object);
  assert.deepEqual(problems, []);
  return rules;
}

function key(object: KubernetesObject): string {
  return `CiliumClusterwideNetworkPolicy/${object.metadata.name}`;
}

test("a policy that cuts the API server is in force for a minute, and then it is as before", () => {
  const node = new GuardedNode();
  node.list();
  node.apply(policy("p", closed));
  assert.equal(node.passes, "ssh");
  assert.deepEqual(node.told, ["tried: the API server at 10.0.0.1:6443"]);
  node.after(59_999);
  assert.equal(node.passes, "ssh");
  node.after(1);
  assert.equal(node.passes, "api ssh");
  assert.deepEqual(node.told.slice(1), ["reverted"]);
  node.after(600_000);
  assert.equal(node.kind, "reverted");
});

test("what was in force before is what comes back, not nothing", () => {
  const node = new GuardedNode();
  node.list(policy("a", open));
  node.guard.answered(node.guard.epoch);
  node.apply(policy("a", closed));
  node.apply(policy("b", noSsh));
  assert.equal(node.passes, "");
  node.after(60_000);
  assert.equal(node.passes, "api ssh");
  assert.equal(node.engine.resolve(node.subject).egressEnforced, true);
});

test("a policy that is deleted comes back when its absence cuts the node off", () => {
  const node = new GuardedNode();
  node.facts = none;
  node.list(policy("a", closed), policy("b", open));
  node.guard.answered(node.guard.epoch);
  node.delete(policy("b", open));
  assert.equal(node.passes, "ssh");
  node.after(60_000);
  assert.equal(node.passes, "api ssh");
});

test("confirmed in time it stays, and later changes are compared with it", () => {
  const node = new GuardedNode();
  node.list();
  node.apply(policy("p", noSsh));
  assert.ok(node.guard.confirm());
  node.after(60_000);
  assert.equal(node.passes, "api");
  node.apply(policy("q", open));
  assert.equal(node.kind, "watched", "SSH was cut before, and that was meant");
  assert.ok(node.guard.confirm());
  assert.equal(node.guard.confirm(), false);
});

test("an annotation confirms in advance, or while the trial lasts; each of the changed policies must have it", () => {
  const node = new GuardedNode();
  const confirmed = { [confirmAnnotation]: "true" };
  node.list();
  node.apply(policy("p", closed, confirmed));
  assert.equal(node.kind, "settled");
  node.apply(policy("q", noSsh));
  assert.equal(node.kind, "tried");
  node.apply(policy("q", noSsh, confirmed));
  assert.equal(node.kind, "settled");
  node.after(60_000);
  assert.equal(node.passes, "");
});

test("the API server that does not answer takes a policy back that seemed to be fine", () => {
  const node = new GuardedNode();
  node.list();
  const stale = node.guard.epoch;
  node.apply(policy("p", open));
  node.guard.answered(stale);
  assert.equal(node.kind, "watched", "the answer is to a question from before");
  node.after(60_000);
  assert.deepEqual(node.told, ["watched", "reverted"]);
  assert.equal(node.engine.resolve(node.subject).egressEnforced, false);
});

test("after a revert another change is tried anew, and the policy before it as well", () => {
  const node = new GuardedNode();
  node.list();
  node.apply(policy("p", closed));
  node.after(60_000);
  node.apply(policy("q", { egress: [{ toEntities: ["kube-apiserver"] }] }));
  assert.equal(node.kind, "watched");
  assert.equal(node.passes, "api ssh");
  assert.equal(node.engine.resolve(node.subject).egressEnforced, true, "the policy that was taken back is in force with the new one");
});

test("a policy about other nodes is nobody's trial here", () => {
  const node = new GuardedNode();
  node.list();
  node.apply({ ...policy("p", closed), spec: { nodeSelector: { matchLabels: { other: "node" } }, ...closed } });
  assert.deepEqual([node.kind, node.told], ["settled", []]);
});

test("a label that brings the node under a policy is tried, and what was before comes back although the label stays", () => {
  const node = new GuardedNode();
  const inZone = (name: string, spec: object): KubernetesObject => {
    return { ...policy(name, spec), spec: { nodeSelector: { matchLabels: { zone: name } }, ...spec } };
  };
  node.label("k8s:zone=a");
  node.list(inZone("a", open), inZone("b", closed));
  node.guard.answered(node.guard.epoch);
  node.label("k8s:zone=b");
  assert.deepEqual([node.kind, node.passes], ["tried", "ssh"]);
  node.after(60_000);
  assert.deepEqual([node.kind, node.passes], ["reverted", "api ssh"]);
  assert.equal(node.engine.resolve(node.subject).egressEnforced, true, "by the policy of the zone that it was in");
  node.start();
  node.list(inZone("a", open), inZone("b", closed));
  assert.deepEqual([node.kind, node.passes], ["reverted", "api ssh"]);
  node.label("k8s:zone=a");
  node.guard.answered(node.guard.epoch);
  assert.deepEqual([node.kind, node.passes], ["settled", "api ssh"]);
});

test("what is taken back stays so while policies of other nodes come and go", () => {
  const node = new GuardedNode();
  node.list();
  node.apply(policy("p", closed));
  node.after(60_000);
  const other = { ...policy("q", closed), spec: { nodeSelector: { matchLabels: { other: "node" } }, ...closed } };
  node.apply(other);
  node.delete(other);
  assert.deepEqual([node.kind, node.passes], ["reverted", "api ssh"]);
});

test("the countdown goes on over a restart, with or without the API server", () => {
  for (const isAway of [false, true]) {
    const node = new GuardedNode();
    node.list(policy("a", open));
    node.guard.answered(node.guard.epoch);
    const before = node.row;
    node.apply(policy("p", { egressDeny: [{ toEntities: ["kube-apiserver"] }] }));
    node.after(20_000);
    node.start();
    assert.deepEqual(node.guard.former, before, "what comes back must not be pruned");
    node.held = before;
    if (!isAway) node.list(policy("a", open), policy("p", { egressDeny: [{ toEntities: ["kube-apiserver"] }] }));
    node.after(39_999);
    assert.equal(node.kind, "tried");
    node.after(1);
    assert.equal(node.kind, "reverted");
    if (isAway) assert.deepEqual(node.row, before, "the kernel has what it had, before anybody knows a policy");
    node.start();
    node.list(policy("a", open), policy("p", { egressDeny: [{ toEntities: ["kube-apiserver"] }] }));
    assert.equal(node.kind, "reverted", "the same policies stay taken back");
    assert.equal(node.passes, "api ssh");
    assert.equal(node.engine.resolve(node.subject).egressEnforced, true);
    node.after(1_000);
    assert.equal(node.held, undefined);
  }
});

test("policies that changed while the agent was away are tried, those that did not are not", () => {
  const node = new GuardedNode();
  node.list(policy("p", noSsh));
  assert.ok(node.guard.confirm());
  node.start();
  node.list(policy("p", noSsh));
  assert.equal(node.kind, "settled");
  node.start();
  node.list(policy("p", noSsh), policy("q", closed));
  assert.equal(node.told.at(-1), "tried: the API server at 10.0.0.1:6443");
});

test("a policy that came while the agent was away is tried on a node that never had one", () => {
  const node = new GuardedNode();
  node.list();
  node.start();
  node.list(policy("p", closed));
  assert.equal(node.kind, "tried");
});

test("where an earlier agent kept no record, what it enforced is not tried", () => {
  const node = new GuardedNode();
  node.row = { policySet: 9, ingressEnforced: true, egressEnforced: true, audit: false };
  node.list(policy("p", closed));
  assert.equal(node.kind, "settled");
});

test("a session that comes during the trial is no reason to end it, and one that is cut is", () => {
  const node = new GuardedNode();
  node.facts = none;
  node.list();
  node.apply(policy("p", noSsh));
  assert.equal(node.kind, "watched");
  node.facts = { ...none, sshPorts: [{ port: 2222, sessions: [{ address: "192.0.2.7", identity: 9 }] }] };
  node.guard.look();
  assert.deepEqual(node.told, ["watched", "tried: the SSH session from 192.0.2.7 on port 2222"]);
});
