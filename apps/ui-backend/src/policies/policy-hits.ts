import type { SeenFlow } from "@cilium-ts/service-map";

export interface Hits {
  readonly allowed: number;
  readonly denied: number;
}

const policyCountMax = 5_000;

/** How many flows each policy decided, since the backend began to look. */
export class PolicyHits {
  readonly #hits = new Map<string, { allowed: number; denied: number }>();
  /** Policies beyond those that are counted. */
  refused = 0;

  add({ policies }: SeenFlow): void {
    for (const { effect, kind, namespace, name } of policies) {
      const key = [kind, namespace, name].filter((part) => part !== "").join("/");
      let hits = this.#hits.get(key);
      if (hits === undefined) {
        if (this.#hits.size >= policyCountMax) {
          this.refused += 1;
          continue;
        }
        hits = { allowed: 0, denied: 0 };
        this.#hits.set(key, hits);
      }
      hits[effect] += 1;
    }
  }

  of(key: string): Hits {
    return this.#hits.get(key) ?? { allowed: 0, denied: 0 };
  }
}
