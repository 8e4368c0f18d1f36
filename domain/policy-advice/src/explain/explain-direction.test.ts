import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels, Selector } from "@cilium-ts/labels";
import type { PolicyWorld, Rule } from "@cilium-ts/policy";
import { explainConnection } from "./explain-direction.ts";
import { explanationLines, remediesOf } from "./explanation-text.ts";
import type { Party } from "./policy-changes.ts";

const pod = (app: string): Party => {
  const labels = Labels.parse([`k8s:app=${app}`, "k8s:io.kubernetes.pod.namespace=shop"]);
  return { labels, packetLabels: labels, namedPorts: [], hasPolicy: true, text: `shop/${app}` };
};
const outside: Party = {
  labels: Labels.parse(["reserved:world-ipv4"]),
  packetLabels: Labels.parse(["cidr:192.0.2.1/32", "reserved:world-ipv4"]),
  namedPorts: [],
  hasPolicy: false,
  text: "192.0.2.1",
};
const closed: Rule = {
  policy: { kind: "CiliumNetworkPolicy", namespace: "shop", name: "closed", uid: "", labels: [] },
  endpointSelector: Selector.of({ matchLabels: { app: "db" } }),
  ...{ ingress: [], ingressDeny: [], egress: [], egressDeny: [] },
  enableDefaultDeny: { ingress: true, egress: false },
};
const world = (mode: PolicyWorld["mode"], ...rules: Rule[]): PolicyWorld => ({
  ...{ rules, mode, cidrGroups: [], services: [], allowLocalhost: true, clusterName: "default", families: [4, 6] },
});

test("without a kernel to ask, the rules decide, and a rule that would help is told", () => {
  const { verdict, egress, ingress } = explainConnection(
    { from: pod("web"), to: pod("db"), protocol: "TCP", port: 80 },
    world("default", closed),
  );
  assert.deepEqual([verdict, egress.enforced, ingress.enforced, ingress.verdict], ["dropped", false, true, "dropped"]);
  assert.match(ingress.reason, /no ingress rule of the one policy that selects it allows it/);
  const shape = (text: string) => ({ identity: 0, labels: ["k8s:app=x"], pod: text });
  const explanation = { from: shape("shop/web"), to: shape("shop/db"), protocol: "TCP", port: 80, verdict, egress, ingress };
  const lines = explanationLines(explanation, (rule) => [rule.policy.name]);
  assert.equal(lines[0], "Verdict: dropped (port 80/TCP)");
  assert.ok(lines.includes("    allow-db-from-web-80") && lines.includes("From: shop/web"), lines.join("\n"));
  assert.equal((remediesOf(explanation) as Rule[])[0]?.policy.name, "allow-db-from-web-80");
  assert.equal(remediesOf({ ...explanation, verdict: "allowed" }), "it is allowed already");
});

test("what is enforced depends on the mode, and policies of pods are not about the world", () => {
  const ask = (mode: PolicyWorld["mode"]) => explainConnection({ from: outside, to: pod("db"), protocol: "UDP", port: 53 }, world(mode));
  assert.deepEqual([ask("default").ingress.enforced, ask("always").ingress.verdict, ask("never").verdict], [false, "dropped", "allowed"]);
  assert.equal(ask("always").egress.reason, "192.0.2.1 is no workload: policies of pods are not about it");
});

test("what is in force is told as it is, and what is only audited passes", () => {
  const decision = { verdict: "dropped", audited: false, match: 0, origins: [] } as const;
  const asked = explainConnection({ from: pod("web"), to: pod("db"), protocol: "TCP", port: 80 }, world("default", closed), () => {
    return { enforced: true, decision, audited: true };
  });
  assert.deepEqual([asked.verdict, asked.ingress.verdict, asked.ingress.audited], ["allowed", "dropped", true]);
});

test("rules that match and do not decide are told with what they say", () => {
  const web = { path: "ingress[0]", peers: [{ kind: "endpoints" as const, selector: Selector.of({ matchLabels: { app: "web" } }) }] };
  const open = { ...closed, policy: { ...closed.policy, name: "open" }, ingress: [web] };
  const denying = { ...closed, policy: { ...closed.policy, name: "denying" }, ingressDeny: [{ ...web, path: "ingressDeny[0]" }] };
  const ends = { from: pod("web"), to: pod("db"), protocol: "TCP", port: 80 } as const;
  const { ingress, egress, verdict } = explainConnection(ends, world("default", open, denying));
  assert.deepEqual(ingress.runnersUp, [
    { kind: "CiliumNetworkPolicy", namespace: "shop", name: "open", path: "ingress[0]", says: "allow" },
  ]);
  const shape = { identity: 0, labels: [] };
  const lines = explanationLines({ from: shape, to: shape, protocol: "TCP", port: 80, verdict, egress, ingress }, () => []);
  assert.ok(lines.includes("    - CiliumNetworkPolicy shop/open at ingress[0]: allow"), lines.join("\n"));
});
