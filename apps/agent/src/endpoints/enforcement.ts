import { setImmediate as nextTurn } from "node:timers/promises";
import type { EndpointRows } from "@cilium-ts/datapath";
import { changeEndpoint, type EndpointRow } from "@cilium-ts/endpoint";
import { type PolicyEngine, type PolicySubject, type ResolvedPolicy, subjectKey } from "@cilium-ts/policy";
import type { RealisedPolicies } from "../policy/realised-policies.ts";
import { kernelEndpoint, kernelKey, subjectOf } from "./kernel-shape.ts";

export interface EnforcementOptions {
  readonly rows: EndpointRows;
  readonly engine: PolicyEngine;
  readonly realised: RealisedPolicies;
  /** Of the policies in the engine. */
  revision(): number;
  /** Whether policy only audits in a namespace. */
  audits(namespace: string): boolean;
}

/** An endpoint's policy, as the kernel has it. */
interface Enforced {
  readonly subject: string;
  readonly policy: ResolvedPolicy;
  readonly set: number;
  readonly identity: number;
  readonly audit: boolean;
  /** False: its row is written, its indexes or links may be missing. */
  readonly complete: boolean;
}

interface Subject {
  readonly subject: PolicySubject;
  readonly ids: Set<number>;
}

/** Which policy is in force on which endpoint, and how another one gets there. */
export class Enforcement {
  readonly #options: EnforcementOptions;
  readonly #byId = new Map<number, Enforced>();
  /** Who has a subject's policy. */
  readonly #bySubject = new Map<string, Subject>();

  constructor(options: EnforcementOptions) {
    this.#options = options;
  }

  /** What the kernel enforces for the endpoint now; undefined when nothing was enforced in this run. */
  policyOf(id: number): ResolvedPolicy | undefined {
    return this.#byId.get(id)?.policy;
  }

  /** The endpoints with this subject (`subjectKey`). */
  idsOf(subject: string): readonly number[] {
    return [...(this.#bySubject.get(subject)?.ids ?? [])];
  }

  /** Computes the endpoint's policy in parts, so that `enforce` has little to do and others are not kept waiting. */
  async prepare(row: EndpointRow): Promise<void> {
    for (const _ of this.#options.engine.prepare(subjectOf(row))) await nextTurn();
  }

  /** What was prepared is not needed after all. */
  abandon(row: EndpointRow): void {
    const subject = subjectOf(row);
    if (!this.#bySubject.has(subjectKey(subject))) this.#options.engine.forget(subject);
  }

  /** The row with the policy that the kernel now enforces for it. Throws when the kernel refuses: then what was in force still is. */
  enforce(row: EndpointRow): EndpointRow {
    const { engine, realised, revision, audits } = this.#options;
    const subject = subjectOf(row);
    const key = subjectKey(subject);
    const policy = engine.resolve(subject);
    const before = this.#byId.get(row.id);
    try {
      const set = before?.policy.fingerprint === policy.fingerprint ? before.set : realised.acquire(policy);
      const { ingressEnforced, egressEnforced } = policy;
      const next = changeEndpoint(row, { policySet: set, policyRevision: revision(), ingressEnforced, egressEnforced });
      const audit = audits(row.podNamespace);
      this.#write(next, { subject: key, policy, set, identity: row.identity, audit, complete: true }, before);
      this.#move(row.id, before, key, subject);
      return next.policySet === row.policySet && next.policyRevision === row.policyRevision ? row : next;
    } catch (cause) {
      if (!this.#bySubject.has(key)) engine.forget(subject);
      throw cause;
    }
  }

  /** The endpoint goes away: the kernel forgets it first, and then its policy, when nobody else has it. */
  remove(row: EndpointRow): void {
    this.#options.rows.remove(kernelKey(row));
    const enforced = this.#byId.get(row.id);
    if (enforced === undefined) {
      this.abandon(row);
      return;
    }
    this.#byId.delete(row.id);
    this.#options.realised.release(enforced.policy.fingerprint);
    this.#leave(row.id, enforced.subject);
  }

  #write(next: EndpointRow, wanted: Enforced, before: Enforced | undefined): void {
    const { rows, realised } = this.#options;
    const acquired = before?.policy.fingerprint !== wanted.policy.fingerprint;
    try {
      const { identity, audit } = wanted;
      if (before?.complete !== true) rows.apply(kernelEndpoint(next, audit));
      else if (acquired || before.identity !== identity || before.audit !== audit) rows.applyRow(kernelEndpoint(next, audit));
    } catch (cause) {
      // The row goes first, so it may be the new one although its links failed: the set that it names must stay then.
      if (rows.read(next.id)?.policySet !== wanted.set) {
        if (acquired) realised.release(wanted.policy.fingerprint);
        throw cause;
      }
      this.#record(next.id, { ...wanted, complete: false }, before);
      this.#move(next.id, before, wanted.subject, subjectOf(next));
      throw cause;
    }
    this.#record(next.id, wanted, before);
  }

  #record(id: number, enforced: Enforced, before: Enforced | undefined): void {
    this.#byId.set(id, enforced);
    if (before !== undefined && before.policy.fingerprint !== enforced.policy.fingerprint)
      this.#options.realised.release(before.policy.fingerprint);
  }

  #move(id: number, before: Enforced | undefined, key: string, subject: PolicySubject): void {
    if (before !== undefined && before.subject !== key) this.#leave(id, before.subject);
    const known = this.#bySubject.get(key);
    if (known === undefined) this.#bySubject.set(key, { subject, ids: new Set([id]) });
    else known.ids.add(id);
  }

  #leave(id: number, key: string): void {
    const known = this.#bySubject.get(key);
    if (known === undefined) return;
    known.ids.delete(id);
    if (known.ids.size > 0) return;
    this.#bySubject.delete(key);
    this.#options.engine.forget(known.subject);
  }
}
