import type { Labels, Selector } from "@cilium-ts/labels";

/** Finds identities by what a selector asks for, without asking each of them: they wait under every `key=value` of their labels. */
export class IdentityIndex {
  readonly #buckets = new Map<string, Set<number>>();

  add(id: number, labels: Labels): void {
    for (const { key, value } of labels.all) {
      const name = bucketName(key, value);
      const bucket = this.#buckets.get(name);
      if (bucket === undefined) this.#buckets.set(name, new Set([id]));
      else bucket.add(id);
    }
  }

  remove(id: number, labels: Labels): void {
    for (const { key, value } of labels.all) {
      const name = bucketName(key, value);
      const bucket = this.#buckets.get(name);
      bucket?.delete(id);
      if (bucket?.size === 0) this.#buckets.delete(name);
    }
  }

  /** Those that may match, some perhaps twice; nobody else does. Undefined: the selector asks for no value, so anybody may. */
  candidates(selector: Selector): readonly ReadonlySet<number>[] | undefined {
    let best: readonly ReadonlySet<number>[] | undefined;
    let bestCount = Number.POSITIVE_INFINITY;
    for (const { key, operator, values } of selector.requirements) {
      if (operator !== "In") continue;
      const buckets = values.map((value) => this.#buckets.get(bucketName(key, value))).filter((bucket) => bucket !== undefined);
      const count = buckets.reduce((sum, bucket) => sum + bucket.size, 0);
      if (count >= bestCount) continue;
      best = buckets;
      bestCount = count;
    }
    return best;
  }
}

function bucketName(key: string, value: string): string {
  return `${key}=${value}`;
}
