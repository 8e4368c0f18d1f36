import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels, Selector } from "@cilium-ts/labels";
import type { Rule } from "@cilium-ts/policy";
import { enforcementOf } from "./enforcement.ts";

const db = Labels.parse(["k8s:app=db"]);

function ruleOf(changes: Partial<Rule>): Rule {
  return {
    policy: { kind: "CiliumNetworkPolicy", namespace: "shop", name: "rule", uid: "", labels: [] },
    endpointSelector: Selector.of({ matchLabels: { app: "db" } }),
    ...{ ingress: [], ingressDeny: [], egress: [], egressDeny: [] },
    enableDefaultDeny: { ingress: false, egress: false },
    ...changes,
  };
}

const closes = ruleOf({ enableDefaultDeny: { ingress: true, egress: false } });
const denies = ruleOf({ egressDeny: [{ path: "egressDeny[0]" }] });
const tiered = ruleOf({ tier: { kind: "admin", priority: 1, ingress: [{ path: "ingress[0]", action: "pass" }], egress: [] } });
const ofOthers = ruleOf({
  endpointSelector: Selector.of({ matchLabels: { app: "web" } }),
  enableDefaultDeny: { ingress: true, egress: true },
});

for (const [what, mode, rules, expected] of [
  ["without rules", "default", [], "none none"],
  ["by a rule that closes one direction", "default", [closes], "enforced none"],
  ["by a rule that closes nothing and denies something", "default", [denies], "none enforced"],
  ["by a rule of a tier", "default", [tiered], "enforced none"],
  ["by rules of others", "default", [ofOthers], "none none"],
  ["by a rule that is only audited", "default", [{ ...closes, audit: true }], "audit none"],
  ["by an audited rule before one that is meant", "default", [{ ...closes, audit: true }, closes], "enforced none"],
  ["by an audited rule after one that is meant", "default", [closes, { ...closes, audit: true }], "enforced none"],
  ["where policy is always enforced", "always", [], "enforced enforced"],
  ["where policy is off", "never", [closes], "none none"],
] as const) {
  test(`${what} a workload has policy: ${expected}`, () => {
    const { ingress, egress } = enforcementOf(db, { rules, mode });
    assert.equal(`${ingress} ${egress}`, expected);
  });
}
