import { type Layer7Rule, matchesPattern, type Redirect } from "@cilium-ts/policy";

/** Names that rules let through; each set of rules is looked at once. */
export class NameRules {
  readonly #known = new WeakMap<Redirect, (name: string) => boolean>();

  /** Undefined: policy wants nothing looked at. A redirect to another parser lets nothing through. */
  allows(redirect: Redirect | undefined, name: string): boolean {
    if (redirect === undefined) return true;
    let allows = this.#known.get(redirect);
    if (allows === undefined) {
      allows = compile(redirect);
      this.#known.set(redirect, allows);
    }
    return allows(name);
  }
}

function compile({ parser, conflicts, rules }: Redirect): (name: string) => boolean {
  if (parser !== "dns" || conflicts.length > 0) return () => false;
  if (rules === undefined) return () => true;
  const names = new Set<string>();
  const patterns: string[] = [];
  for (const rule of rules as readonly Layer7Rule[]) {
    if ("matchName" in rule && typeof rule.matchName === "string") names.add(rule.matchName);
    if ("matchPattern" in rule && typeof rule.matchPattern === "string") patterns.push(rule.matchPattern);
  }
  return (name) => names.has(name) || patterns.some((pattern) => matchesPattern(pattern, name));
}
