import type { PolicyState, ServicePolicy } from "@cilium-ts/service-map/view";
import type { Theme } from "./draw.ts";

/** A ring around 0,0 that is full, half full, has a dot, or is empty: told by its shape, and not by colour alone. SVG path data. */
export const policyRing = "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z";
export const policyFills: Readonly<Record<PolicyState, string>> = {
  enforced: policyRing,
  partly: "M0 -5a5 5 0 0 0 0 10z",
  audit: "M-2 0a2 2 0 1 0 4 0a2 2 0 1 0 -4 0z",
  none: "",
};

export const policyMeanings: Readonly<Record<PolicyState, string>> = {
  enforced: "enforced",
  partly: "enforced at some pods",
  audit: "audited only",
  none: "no policy",
};

/** The word on the card is short; where the mark stands, from the card's left edge. */
export const policyDirections = [
  { direction: "ingress", text: "in", x: 158 },
  { direction: "egress", text: "out", x: 190 },
] as const;

export function policyColour({ states, muted }: Theme, state: PolicyState): string {
  if (state === "none") return muted;
  return state === "enforced" ? states.forwarded : states.audit;
}

/** `ingress enforced, egress no policy`. */
export function policyText({ ingress, egress }: ServicePolicy): string {
  return `ingress ${policyMeanings[ingress]}, egress ${policyMeanings[egress]}`;
}
