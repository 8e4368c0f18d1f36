import type { Labels } from "@cilium-ts/labels";
import type { Direction, PolicyWorld, Rule } from "@cilium-ts/policy";

/** What policies mean for a workload in a direction: nothing, that what they forbid is reported, or that it is dropped. */
export type Enforcement = "none" | "audit" | "enforced";

/** Of whoever has the labels, by rules and mode; an agent that is late, or that only audits, is another matter. */
export function enforcementOf(
  labels: Labels,
  { rules, mode }: { readonly rules: Iterable<Rule>; readonly mode: PolicyWorld["mode"] },
): Readonly<Record<Direction, Enforcement>> {
  if (mode === "never") return { ingress: "none", egress: "none" };
  if (mode === "always" || labels.has("reserved", "init")) return { ingress: "enforced", egress: "enforced" };
  const found: Record<Direction, Enforcement> = { ingress: "none", egress: "none" };
  for (const rule of rules) {
    if (!rule.endpointSelector.matches(labels)) continue;
    for (const direction of ["ingress", "egress"] as const) {
      if (found[direction] === "enforced" || !isAbout(rule, direction)) continue;
      found[direction] = rule.audit === true ? "audit" : "enforced";
    }
  }
  return found;
}

/** Whether the rule selects in this direction at all. */
export function isAbout({ enableDefaultDeny, tier, ...rule }: Rule, direction: Direction): boolean {
  const sections = direction === "ingress" ? [rule.ingress, rule.ingressDeny] : [rule.egress, rule.egressDeny];
  return enableDefaultDeny[direction] || sections.some(({ length }) => length > 0) || (tier?.[direction].length ?? 0) > 0;
}
