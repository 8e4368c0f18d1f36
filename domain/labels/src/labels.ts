import { formatLabel, type Label, parseLabel } from "./label.ts";

/**
 * An immutable set of labels, at most one for a source and key, in one order. Two sets are equal exactly when their keys are, so the
 * key may stand for the set in maps.
 */
export class Labels implements Iterable<Label> {
  static readonly empty = new Labels([]);

  readonly #sorted: readonly Label[];
  #key: string | undefined;

  private constructor(sorted: readonly Label[]) {
    this.#sorted = sorted;
  }

  /** Of labels with one source and key the last is kept. */
  static of(labels: Iterable<Label>): Labels {
    const byName = new Map<string, Label>();
    for (const { source, key, value } of labels) byName.set(`${source}:${key}`, Object.freeze({ source, key, value }));
    if (byName.size === 0) return Labels.empty;
    const sorted = [...byName.values()].sort((a, b) => compare(a.source, b.source) || compare(a.key, b.key));
    return new Labels(Object.freeze(sorted));
  }

  /** From texts such as `k8s:app=web`. Throws for a text without a key: these come from our own state, not from users. */
  static parse(texts: Iterable<string>): Labels {
    const labels: Label[] = [];
    for (const text of texts) {
      const label = parseLabel(text);
      if (label === undefined) throw new Error(`label ${JSON.stringify(text)} has no key; write source:key=value`);
      labels.push(label);
    }
    return Labels.of(labels);
  }

  /** Canonical text of the whole set: `k8s:app=web;k8s:io.kubernetes.pod.namespace=default;`. */
  get key(): string {
    if (this.#key === undefined) {
      let key = "";
      for (const { source, key: name, value } of this.#sorted) key += `${source}:${name}=${escapeValue(value)};`;
      this.#key = key;
    }
    return this.#key;
  }

  get size(): number {
    return this.#sorted.length;
  }

  /** In canonical order. */
  get all(): readonly Label[] {
    return this.#sorted;
  }

  [Symbol.iterator](): Iterator<Label> {
    return this.#sorted[Symbol.iterator]();
  }

  /** The value, or undefined without such a label. Source `any` takes the first of any source. */
  get(source: string, key: string): string | undefined {
    for (const label of this.#sorted) if (label.key === key && (source === "any" || label.source === source)) return label.value;
    return undefined;
  }

  has(source: string, key: string): boolean {
    return this.get(source, key) !== undefined;
  }

  equals(other: Labels): boolean {
    return this === other || this.key === other.key;
  }

  /** These and the others; where both have one, the other's value. */
  with(others: Iterable<Label>): Labels {
    return Labels.of([...this.#sorted, ...others]);
  }

  filter(keep: (label: Label) => boolean): Labels {
    const kept = this.#sorted.filter(keep);
    return kept.length === this.#sorted.length ? this : Labels.of(kept);
  }

  /** `source:key=value` texts in canonical order. */
  format(): string[] {
    return this.#sorted.map(formatLabel);
  }

  toString(): string {
    return this.format().join(",");
  }

  toJSON(): string[] {
    return this.format();
  }
}

/** By UTF-16 code unit, which no locale can change. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Kubernetes forbids these characters in values; other sources do not, and a key must never be ambiguous. */
function escapeValue(value: string): string {
  return value.includes(";") || value.includes("\\") ? value.replaceAll("\\", "\\\\").replaceAll(";", "\\;") : value;
}
