import { parseSourcedKey } from "./label.ts";
import type { Labels } from "./labels.ts";

export type SelectorOperator = "In" | "NotIn" | "Exists" | "DoesNotExist";

/** One condition on a label. Source `any` looks at labels of every source. */
export interface Requirement {
  readonly source: string;
  readonly key: string;
  readonly operator: SelectorOperator;
  /** Sorted, without repeats; empty for Exists and DoesNotExist. */
  readonly values: readonly string[];
}

/** What Kubernetes calls a label selector; keys may carry a source (`k8s:app`). */
export interface SelectorSpec {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly { readonly key: string; readonly operator: SelectorOperator; readonly values?: readonly string[] }[];
}

/**
 * All requirements must hold; a selector without any matches everything. Equal selectors, however they were written, have equal keys.
 */
export class Selector {
  static readonly everything = new Selector([]);

  readonly requirements: readonly Requirement[];
  readonly key: string;

  private constructor(requirements: readonly Requirement[]) {
    this.requirements = requirements;
    this.key = requirements.map(formatRequirement).join(",");
  }

  /** Keys without a source are looked for in the default one: `any`, unless said otherwise. */
  static of(spec: SelectorSpec, defaultSource = "any"): Selector {
    const requirements: Requirement[] = [];
    for (const [name, value] of Object.entries(spec.matchLabels ?? {})) {
      requirements.push({ ...parseSourcedKey(name, defaultSource), operator: "In", values: [value] });
    }
    for (const { key, operator, values } of spec.matchExpressions ?? []) {
      requirements.push({ ...parseSourcedKey(key, defaultSource), operator, values: [...new Set(values ?? [])].sort() });
    }
    return Selector.ofRequirements(requirements);
  }

  static ofRequirements(requirements: Iterable<Requirement>): Selector {
    const byText = new Map<string, Requirement>();
    for (const requirement of requirements) byText.set(formatRequirement(requirement), Object.freeze({ ...requirement }));
    if (byText.size === 0) return Selector.everything;
    const sorted = [...byText].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, requirement]) => requirement);
    return new Selector(Object.freeze(sorted));
  }

  get matchesEverything(): boolean {
    return this.requirements.length === 0;
  }

  matches(labels: Labels): boolean {
    for (const requirement of this.requirements) if (!satisfies(labels, requirement)) return false;
    return true;
  }

  /** True when a requirement is about this key; source `any` in the requirement counts for every source. */
  hasKey(source: string, key: string): boolean {
    return this.requirements.some(
      (requirement) => requirement.key === key && (requirement.source === source || requirement.source === "any"),
    );
  }

  with(requirement: Requirement): Selector {
    return Selector.ofRequirements([...this.requirements, requirement]);
  }

  toString(): string {
    return this.key === "" ? "<everything>" : this.key;
  }

  toJSON(): string {
    return this.toString();
  }
}

function satisfies(labels: Labels, requirement: Requirement): boolean {
  const { source, key, operator, values } = requirement;
  let exists = false;
  let inValues = false;
  for (const label of labels.all) {
    if (label.key !== key || (source !== "any" && label.source !== source)) continue;
    exists = true;
    if (values.length > 0 && values.includes(label.value)) inValues = true;
  }
  switch (operator) {
    case "In":
      return inValues;
    case "NotIn":
      return !inValues;
    case "Exists":
      return exists;
    case "DoesNotExist":
      return !exists;
  }
}

/** JSON quoting of values keeps the text unambiguous whatever they hold. */
function formatRequirement({ source, key, operator, values }: Requirement): string {
  const name = `${source}:${key}`;
  switch (operator) {
    case "In":
      return `${name} in ${JSON.stringify(values)}`;
    case "NotIn":
      return `${name} notin ${JSON.stringify(values)}`;
    case "Exists":
      return name;
    case "DoesNotExist":
      return `!${name}`;
  }
}
