import type { Labels } from "@cilium-ts/labels";
import type { Rule } from "./rule.ts";

/** A node itself, as a subject of policy: what it sends and receives by its own addresses. */
export function isHost(labels: Labels): boolean {
  return labels.has("reserved", "host");
}

/** Whether the rule is about the subject. No rule is about endpoints and nodes. */
export function selects(rule: Rule, subject: Labels): boolean {
  return (rule.ofNodes === true) === isHost(subject) && rule.endpointSelector.matches(subject);
}
