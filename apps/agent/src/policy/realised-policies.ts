import type { PolicySetEntry, PolicySets } from "@cilium-ts/datapath";
import type { CookieTable, ResolvedPolicy } from "@cilium-ts/policy";
import type { Proxies } from "../proxies/proxies.ts";

interface Realised {
  readonly set: number;
  readonly cookies: readonly number[];
  users: number;
}

/**
 * Resolved policies in the kernel, each once however many endpoints have it. One that nobody has any more stays until the next `sweep`: a
 * packet that is under way may just have read its number.
 */
export class RealisedPolicies {
  readonly #sets: PolicySets;
  readonly #cookies: CookieTable;
  readonly #proxies: Proxies;
  readonly #byFingerprint = new Map<string, Realised>();

  constructor(sets: PolicySets, cookies: CookieTable, proxies: Proxies) {
    this.#sets = sets;
    this.#cookies = cookies;
    this.#proxies = proxies;
  }

  /** How many are in the kernel, those that await the sweep included. */
  get count(): number {
    return this.#byFingerprint.size;
  }

  /** The number of its policy set, written when it is new. One use; throws KernelError when the kernel has no room. */
  acquire(policy: ResolvedPolicy): number {
    const known = this.#byFingerprint.get(policy.fingerprint);
    if (known !== undefined) {
      known.users += 1;
      return known.set;
    }
    try {
      return this.#write(policy);
    } catch (cause) {
      if (this.sweep() === 0) throw cause;
      return this.#write(policy); // There is room now that was not before.
    }
  }

  release(fingerprint: string): void {
    const realised = this.#byFingerprint.get(fingerprint);
    if (realised !== undefined) realised.users -= 1;
  }

  /** Removes those without users; returns how many. */
  sweep(): number {
    let swept = 0;
    for (const [fingerprint, { set, cookies, users }] of this.#byFingerprint) {
      if (users > 0) continue;
      this.#sets.release(set);
      this.#byFingerprint.delete(fingerprint);
      for (const cookie of cookies) this.#cookies.release(cookie);
      swept += 1;
    }
    return swept;
  }

  #write(policy: ResolvedPolicy): number {
    const cookies: number[] = [];
    try {
      const entries = policy.entries.map((entry): PolicySetEntry => {
        const cookie = this.#cookies.acquire(entry.origins);
        cookies.push(cookie);
        const { redirect, direction } = entry;
        return { ...entry, cookie, proxyPort: redirect && this.#proxies.portFor(redirect, direction) };
      });
      const set = this.#sets.acquire(entries);
      this.#byFingerprint.set(policy.fingerprint, { set, cookies, users: 1 });
      return set;
    } catch (cause) {
      for (const cookie of cookies) this.#cookies.release(cookie);
      throw cause;
    }
  }
}
