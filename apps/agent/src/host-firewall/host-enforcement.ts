import type { HostRow, PolicySetEntry, PolicySets } from "@cilium-ts/datapath";
import type { ResolvedPolicy } from "@cilium-ts/policy";
import type { RealisedPolicies } from "../policy/realised-policies.ts";

export interface HostEnforcementOptions {
  readonly row: HostRow;
  readonly sets: PolicySets;
  readonly realised: RealisedPolicies;
  /** What policy would drop passes, and is reported. */
  readonly audit: boolean;
  /** A policy is about to become effective, instead of the one that was so in this run. */
  onEnforce?(next: ResolvedPolicy, before: ResolvedPolicy | undefined): void;
}

/** The one place where a resolved policy of the node itself becomes effective on this node: its set first, then the row by one write. */
export class HostEnforcement {
  readonly #options: HostEnforcementOptions;
  #enforced: ResolvedPolicy | undefined;
  /** The set that allows everything, while it is in use. */
  #openSet: number | undefined;

  constructor(options: HostEnforcementOptions) {
    this.#options = options;
  }

  /** What the kernel enforces; undefined when nothing was enforced in this run. */
  get policy(): ResolvedPolicy | undefined {
    return this.#enforced;
  }

  /**
   * Where an earlier run has left nothing, everything is allowed until the first policy; but from now on connections are known, so that it
   * does not cut off those that the node has opened meanwhile, as that to its API server.
   */
  track(): void {
    const { row, sets } = this.#options;
    if (row.read() !== undefined) return;
    this.#openSet = sets.acquire([allowed("ingress"), allowed("egress")]);
    row.apply({ policySet: this.#openSet, ingressEnforced: false, egressEnforced: false, audit: false });
  }

  /** From now on the kernel judges by this policy. Throws when the kernel refuses: then what was in force still is. */
  enforce(policy: ResolvedPolicy): void {
    const { row, realised, audit, onEnforce } = this.#options;
    const before = this.#enforced;
    if (before?.fingerprint === policy.fingerprint) return;
    const policySet = realised.acquire(policy);
    try {
      onEnforce?.(policy, before);
      const { ingressEnforced, egressEnforced } = policy;
      row.apply({ policySet, ingressEnforced, egressEnforced, audit });
    } catch (cause) {
      realised.release(policy.fingerprint);
      throw cause;
    }
    this.#enforced = policy;
    if (this.#openSet !== undefined) this.#options.sets.release(this.#openSet);
    this.#openSet = undefined;
    if (before !== undefined) realised.release(before.fingerprint);
  }

  /** Takes what is no longer in force out of the kernel. */
  sweep(): void {
    this.#options.realised.sweep();
  }
}

function allowed(direction: "ingress" | "egress"): PolicySetEntry {
  return { direction, identity: 0, protocol: 0, port: 0, portPrefixLength: 0, deny: false, precedence: 0, cookie: 0 };
}
