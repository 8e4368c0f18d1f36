import type { PolicySetEntry, PolicySets } from "@cilium-ts/datapath";
import type { CookieTable, ResolvedPolicy } from "@cilium-ts/policy";

interface Realised {
  readonly set: number;
  readonly cookies: readonly number[];
  users: number;
}

/** Resolved policies in the kernel, each once however many endpoints have it. */
export class RealisedPolicies {
  readonly #sets: PolicySets;
  readonly #cookies: CookieTable;
  readonly #byFingerprint = new Map<string, Realised>();

  constructor(sets: PolicySets, cookies: CookieTable) {
    this.#sets = sets;
    this.#cookies = cookies;
  }

  /** The number of its policy set, written when it is new. One use; throws KernelError when the kernel has no room. */
  acquire(policy: ResolvedPolicy): number {
    const known = this.#byFingerprint.get(policy.fingerprint);
    if (known !== undefined) {
      known.users += 1;
      return known.set;
    }
    const cookies: number[] = [];
    try {
      const entries = policy.entries.map((entry): PolicySetEntry => {
        const cookie = this.#cookies.acquire(entry.origins);
        cookies.push(cookie);
        return { ...entry, cookie };
      });
      const set = this.#sets.acquire(entries);
      this.#byFingerprint.set(policy.fingerprint, { set, cookies, users: 1 });
      return set;
    } catch (cause) {
      for (const cookie of cookies) this.#cookies.release(cookie);
      throw cause;
    }
  }

  release(fingerprint: string): void {
    const realised = this.#byFingerprint.get(fingerprint);
    if (realised === undefined) return;
    realised.users -= 1;
    if (realised.users > 0) return;
    this.#byFingerprint.delete(fingerprint);
    this.#sets.release(realised.set);
    for (const cookie of realised.cookies) this.#cookies.release(cookie);
  }
}
