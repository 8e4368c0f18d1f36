import type { KubernetesObject } from "@cilium-ts/kubernetes";
import { Labels } from "@cilium-ts/labels";
import type { ResolvedPolicy, Rule } from "@cilium-ts/policy";
import type { FormerRow, GuardFile, GuardRecord } from "./guard-file.ts";
import {
  aboutNode,
  differences,
  digestOf,
  type HostPolicies,
  type HostPolicy,
  hostPolicyOf,
  isConfirmedInAdvance,
  whateverItsLabels,
} from "./host-policies.ts";
import { type Lifeline, type LifelineFacts, lifelinesOf, lostLifelines, Reach } from "./lifelines.ts";
import { isPending, stepTrial, type Trial, type TrialEvent } from "./trial.ts";

export interface HostPolicyGuardOptions {
  readonly revertAfterMs: number;
  nowMs(): number;
  readonly file: Pick<GuardFile, "read" | "write">;
  /** Reads a policy that was kept, by its kind. */
  rulesOf(object: KubernetesObject): readonly Rule[];
  /** What the node's life depends on, as far as was seen last. */
  facts(): LifelineFacts;
  /** As the kernel has it now; undefined: nothing of the node's own is judged. */
  currentRow(): FormerRow | undefined;
  /** Its policy set must stay in the kernel, instead of the one that was held before. */
  holdRow(row: FormerRow | undefined): void;
  /** The kernel judges by this again, although nobody knows yet what policies say. */
  restoreRow(row: FormerRow | undefined): void;
  /** All rules of policies, by their keys; of none, the policy is gone. */
  applyRules(policies: ReadonlyMap<string, readonly Rule[]>): void;
  /** Keys are those of the policies that are tried. */
  onTrial(trial: Trial, before: Trial, keys: readonly string[]): void;
}

/**
 * Stands between policies of nodes and the host firewall. A policy that cuts the node's lifelines is in force on trial: what was in force
 * before comes back when nobody confirms it in time, and when the API server does not answer any more. So is a label that brings the node under
 * other policies. It says nothing of what changes in groups and services.
 */
export class HostPolicyGuard {
  readonly #options: HostPolicyGuardOptions;
  /** Policies that have rules about nodes, this one or others. */
  readonly #policies = new Map<string, HostPolicy>();
  /** Their other rules. */
  readonly #others = new Map<string, readonly Rule[]>();
  #labels = Labels.parse(["reserved:host"]);
  /** What objects say of this node. */
  #wanted = new Map<string, HostPolicy>();
  #accepted: HostPolicies;
  #acceptedLabels: readonly string[];
  #cut: ReadonlySet<string>;
  #trial: Trial;
  #triedDigest: string;
  #former: FormerRow | undefined;
  /** All policies have been heard of. */
  #isOpen = false;
  /** Policies changed, and the result has not been seen. */
  #isChanged = false;
  /** Nobody knows what was accepted: an earlier agent kept no record. */
  readonly #isNew: boolean;
  #inForce: Reach | undefined;
  #epoch = 0;

  constructor(options: HostPolicyGuardOptions) {
    this.#options = options;
    const record = options.file.read();
    this.#isNew = record === undefined;
    this.#acceptedLabels = record?.labels ?? [];
    const labels = Labels.parse(this.#acceptedLabels);
    this.#accepted = new Map(
      (record?.accepted ?? []).flatMap((object) => {
        const policy = hostPolicyOf(object, options.rulesOf(object));
        const about = policy && aboutNode(policy, labels);
        return about === undefined ? [] : [[keyOf(object), about] as const];
      }),
    );
    this.#cut = new Set(record?.cut);
    this.#trial = inTime(record?.trial ?? { kind: "settled" }, options.nowMs() + options.revertAfterMs);
    this.#triedDigest = record?.triedDigest ?? "";
    this.#former = record?.former;
  }

  get trial(): Trial {
    return this.#trial;
  }

  /** What the kernel had before the trial. */
  get former(): FormerRow | undefined {
    return this.#former;
  }

  /** A policy as its object says it. */
  objectOf(key: string): KubernetesObject | undefined {
    return (this.#policies.get(key) ?? this.#accepted.get(key))?.object;
  }

  /** A policy is there, or is another. Returns the rules that are to be in force. */
  take(key: string, object: KubernetesObject, rules: readonly Rule[]): readonly Rule[] {
    const policy = hostPolicyOf(object, rules);
    if (policy === undefined) return this.#policies.has(key) ? [...rules, ...this.drop(key)] : rules;
    const others = rules.filter(({ ofNodes }) => ofNodes !== true);
    this.#policies.set(key, policy);
    this.#others.set(key, others);
    const before = this.#wanted.get(key);
    const after = aboutNode(policy, this.#labels);
    if (after === undefined) this.#wanted.delete(key);
    else this.#wanted.set(key, after);
    if (before?.content !== after?.content) this.#changed();
    else if (isPending(this.#trial) && isConfirmedInAdvance(this.#accepted, this.#wanted)) this.#step({ kind: "confirmed" });
    return this.#rulesOf(key);
  }

  /** A policy is gone. Returns what is to stay in force of it. */
  drop(key: string): readonly Rule[] {
    this.#policies.delete(key);
    this.#others.delete(key);
    if (this.#wanted.delete(key)) this.#changed();
    return this.#rulesOf(key);
  }

  /** The node's own, before it is judged by what they mean. */
  setLabels(labels: Labels): void {
    if (labels.key === this.#labels.key) return;
    this.#labels = labels;
    const before = this.#wanted;
    this.#wanted = new Map();
    for (const [key, policy] of this.#policies) {
      const about = aboutNode(policy, labels);
      if (about !== undefined) this.#wanted.set(key, about);
    }
    if (differences(before, this.#wanted).length > 0) this.#changed();
  }

  /** All policies have been heard of once; nothing of them is in force yet. */
  open(): void {
    this.#isOpen = true;
    const digest = digestOf(this.#wanted);
    if (this.#isNew && this.#options.currentRow() !== undefined) {
      // What an agent without a guard has enforced was nobody's trial.
      this.#settle();
    } else if (digest === digestOf(this.#accepted)) {
      if (this.#trial.kind !== "settled") this.#step({ kind: "withdrawn" });
      else if (this.#isNew) this.#save();
      this.#isChanged = false;
    } else if (digest === this.#triedDigest && this.#trial.kind !== "settled") {
      this.#isChanged = false;
      if (this.#trial.kind === "reverted") this.#options.applyRules(this.#rules(this.#acceptedRules));
    } else {
      this.#isChanged = true;
      if (this.#trial.kind === "reverted") this.#trial = { kind: "settled" };
    }
  }

  /** Before the node is judged by `next`. `before`: what it was judged by in this run. */
  judge(next: ResolvedPolicy, before: ResolvedPolicy | undefined): void {
    const after = new Reach(next);
    const known = this.#inForce ?? (before && new Reach(before));
    this.#inForce = after;
    if (!this.#isOpen) return;
    if (!this.#isChanged) {
      this.#look(after);
      return;
    }
    this.#isChanged = false;
    if (!isPending(this.#trial)) {
      if (known !== undefined) this.#cut = new Set(this.#lifelines().flatMap((one) => (known.has(one) ? [] : [one.key])));
      this.#former = this.#options.currentRow();
      this.#options.holdRow(this.#former);
    }
    this.#epoch += 1;
    this.#triedDigest = digestOf(this.#wanted);
    if (differences(this.#accepted, this.#wanted).length === 0) {
      this.#step({ kind: "withdrawn" });
      return;
    }
    const isConfirmed = isConfirmedInAdvance(this.#accepted, this.#wanted);
    this.#step({ kind: "changed", lost: isConfirmed ? [] : this.#lost(after), isConfirmed });
  }

  /** Changes have been carried out: one that the node's own policy did not feel is of no concern. */
  carriedOut(): void {
    if (!this.#isOpen || !this.#isChanged) return;
    this.#isChanged = false;
    if (differences(this.#accepted, this.#wanted).length === 0 || !isPending(this.#trial)) this.#settle();
    else this.#triedDigest = digestOf(this.#wanted);
  }

  /** Connections have come and gone. */
  look(): void {
    if (this.#inForce !== undefined) this.#look(this.#inForce);
  }

  /** Moves with every change that is tried. */
  get epoch(): number {
    return this.#epoch;
  }

  /** The API server has answered a request that was sent in that epoch. */
  answered(epoch: number): void {
    if (epoch === this.#epoch) this.#step({ kind: "answered" });
  }

  /** False: nothing waits for it. */
  confirm(): boolean {
    const waited = isPending(this.#trial);
    this.#step({ kind: "confirmed" });
    return waited;
  }

  /** Time has passed. */
  tick(): void {
    this.#step({ kind: "time" });
    // Until somebody has made another policy effective, the kernel may judge by what is held.
    if (this.#isOpen && !isPending(this.#trial)) this.#options.holdRow(undefined);
  }

  #look(after: Reach): void {
    if (isPending(this.#trial)) this.#step({ kind: "judged", lost: this.#lost(after) });
  }

  #changed(): void {
    if (!this.#isOpen) return;
    this.#isChanged = true;
    if (this.#trial.kind !== "reverted") return;
    // What was taken back is tried again, with the change.
    const before = this.#trial;
    this.#trial = { kind: "settled" };
    this.#options.applyRules(this.#rules(this.#wantedRules));
    this.#options.onTrial(this.#trial, before, []);
  }

  #step(event: TrialEvent): void {
    const { nowMs, revertAfterMs, onTrial } = this.#options;
    const before = this.#trial;
    const { next, act } = stepTrial(before, event, nowMs(), revertAfterMs);
    const keys = differences(this.#accepted, this.#wanted);
    if (act === "revert") this.#revert(); // What fails is tried again: the trial is not over then.
    this.#trial = next;
    if (act === "accept") this.#settle();
    else if (next !== before && JSON.stringify(next) !== JSON.stringify(before)) this.#save();
    if (next.kind !== before.kind || (next.kind === "tried" && before.kind === "tried" && next.lost.length !== before.lost.length)) {
      onTrial(next, before, keys);
    }
  }

  /** What is in force is what would come back from now on. */
  #settle(): void {
    this.#trial = { kind: "settled" };
    this.#accepted = new Map(this.#wanted);
    this.#acceptedLabels = this.#labels.format();
    const reach = this.#inForce;
    if (reach !== undefined) this.#cut = new Set(this.#lifelines().flatMap((one) => (reach.has(one) ? [] : [one.key])));
    this.#former = undefined;
    this.#save();
  }

  #revert(): void {
    if (!this.#isOpen) this.#options.restoreRow(this.#former);
    else this.#options.applyRules(this.#rules(this.#acceptedRules));
  }

  #save(): void {
    const record: GuardRecord = {
      trial: this.#trial,
      accepted: [...this.#accepted.values()].map(({ object }) => object),
      labels: this.#acceptedLabels,
      cut: [...this.#cut],
      triedDigest: this.#triedDigest,
      former: this.#former,
    };
    this.#options.file.write(record);
  }

  #lost(after: Reach): string[] {
    return lostLifelines(this.#lifelines(), ({ key }) => !this.#cut.has(key), after).map(({ what }) => what);
  }

  #lifelines(): Lifeline[] {
    return lifelinesOf(this.#options.facts());
  }

  #rulesOf(key: string): readonly Rule[] {
    const about = this.#trial.kind === "reverted" && this.#isOpen ? this.#acceptedRules : this.#wantedRules;
    return [...(this.#others.get(key) ?? []), ...about(key)];
  }

  readonly #wantedRules = (key: string): readonly Rule[] => this.#policies.get(key)?.rules ?? [];

  readonly #acceptedRules = (key: string): readonly Rule[] => whateverItsLabels(this.#accepted.get(key)?.rules ?? []);

  /** All policies that have rules about nodes, or had some. */
  #rules(about: (key: string) => readonly Rule[]): Map<string, readonly Rule[]> {
    const keys = new Set([...this.#policies.keys(), ...this.#accepted.keys()]);
    return new Map([...keys].map((key) => [key, [...(this.#others.get(key) ?? []), ...about(key)]]));
  }
}

function keyOf({ kind = "CiliumClusterwideNetworkPolicy", metadata }: KubernetesObject): string {
  return `${kind}/${metadata.name ?? ""}`;
}

/** A clock that was set back makes no trial longer. */
function inTime(trial: Trial, latestMs: number): Trial {
  return isPending(trial) ? { ...trial, untilMs: Math.min(trial.untilMs, latestMs) } : trial;
}
