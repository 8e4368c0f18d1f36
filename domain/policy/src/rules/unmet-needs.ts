import { parserOf } from "./layer7.ts";
import type { Rule } from "./rule.ts";

/** What valid rules ask for that no node can give, a sentence each. What depends on it is dropped, never let through. */
export function unmetNeeds(rules: readonly Rule[]): string[] {
  return rules
    .flatMap(({ ingress, egress }) => [...ingress, ...egress])
    .flatMap(({ ports }) => ports ?? [])
    .flatMap(({ path, layer7 }) =>
      layer7 === undefined
        ? []
        : [`${path} needs a proxy for ${parserOf(layer7)}, and no node has one: connections to its ports are dropped`],
    );
}
