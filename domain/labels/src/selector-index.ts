import type { Labels } from "./labels.ts";
import type { Selector } from "./selector.ts";

/**
 * Finds the selectors that match a label set without asking each of them: a selector waits in the bucket of one `key=value` that it
 * asks for, so labels look only into the buckets of their own values. Selectors that ask for no value are always asked.
 */
export class SelectorIndex<T> {
  readonly #buckets = new Map<string, Map<T, Selector>>();
  readonly #others = new Map<T, Selector>();

  add(item: T, selector: Selector): void {
    const buckets = bucketsOf(selector);
    if (buckets === undefined) {
      this.#others.set(item, selector);
      return;
    }
    for (const name of buckets) {
      const bucket = this.#buckets.get(name);
      if (bucket === undefined) this.#buckets.set(name, new Map([[item, selector]]));
      else bucket.set(item, selector);
    }
  }

  remove(item: T, selector: Selector): void {
    const buckets = bucketsOf(selector);
    if (buckets === undefined) this.#others.delete(item);
    for (const name of buckets ?? []) {
      const bucket = this.#buckets.get(name);
      bucket?.delete(item);
      if (bucket?.size === 0) this.#buckets.delete(name);
    }
  }

  /** Every item whose selector matches, each once, in no particular order. */
  matching(labels: Labels): Set<T> {
    const found = new Set<T>();
    for (const [item, selector] of this.#others) if (selector.matches(labels)) found.add(item);
    for (const label of labels.all) {
      const bucket = this.#buckets.get(bucketName(label.key, label.value));
      if (bucket === undefined) continue;
      for (const [item, selector] of bucket) if (selector.matches(labels)) found.add(item);
    }
    return found;
  }
}

/** A namespace is shared by everything in it: any other value tells more. */
const namespaceKey = "io.kubernetes.pod.namespace";

function bucketsOf(selector: Selector): string[] | undefined {
  const asking = selector.requirements.filter((requirement) => requirement.operator === "In");
  const chosen = asking.find((requirement) => requirement.key !== namespaceKey) ?? asking[0];
  return chosen?.values.map((value) => bucketName(chosen.key, value));
}

function bucketName(key: string, value: string): string {
  return `${key}=${value}`;
}
