import assert from "node:assert/strict";
import { test } from "node:test";
import { Selector } from "@cilium-ts/labels";
import { type PolicyWorld, protocols, type Rule, type RuleSection } from "@cilium-ts/policy";
import type { Observation, ObservedEnd, ObservedFlow } from "../flows/observed-flow.ts";
import { WhatIf, type WhatIfReport } from "./what-if.ts";

const nobody: ObservedEnd = { address: "", labels: [], namespace: "", podName: "", workload: "", names: [] };

function pod(app: string, index = 1): ObservedEnd {
  const labels = [`k8s:app=${app}`, "k8s:io.cilium.k8s.policy.cluster=default", "k8s:io.kubernetes.pod.namespace=shop"];
  return { address: `10.0.0.${index}`, labels, namespace: "shop", podName: `${app}-${index}`, workload: `Deployment/${app}`, names: [] };
}

function world(address: string): ObservedEnd {
  return { ...nobody, address, labels: ["reserved:world-ipv4"] };
}

function flow(from: ObservedEnd, to: ObservedEnd, port: number, more: Partial<ObservedFlow> = {}): Observation {
  return { kind: "flow", flow: { timeMs: 1_000, from, to, protocol: protocols.tcp, port, verdict: "forwarded", ...more } };
}

function rule(name: string, app: string, ingress: readonly RuleSection[], more: Partial<Rule> = {}): Rule {
  return {
    policy: { kind: "CiliumNetworkPolicy", namespace: "shop", name, uid: "", labels: [] },
    endpointSelector: Selector.of({ matchLabels: { app } }),
    ...{ ingress, ingressDeny: [], egress: [], egressDeny: [] },
    enableDefaultDeny: { ingress: true, egress: false },
    ...more,
  };
}

function from(app: string, index = 0): RuleSection {
  return { path: `ingress[${index}]`, peers: [{ kind: "endpoints", selector: Selector.of({ matchLabels: { app } }) }] };
}

function policies(...rules: Rule[]): PolicyWorld {
  return { rules, cidrGroups: [], services: [], mode: "default", allowLocalhost: true, clusterName: "default", families: [4, 6] };
}

function ask(before: PolicyWorld, after: PolicyWorld, ...observations: Observation[]): WhatIfReport {
  const whatIf = new WhatIf({ before, after });
  for (const observation of observations) whatIf.add(observation);
  return whatIf.report();
}

test("flows that a new policy would stop are listed with how often they were seen and why, the most frequent first", () => {
  const report = ask(
    policies(),
    policies(rule("db", "db", [from("web")])),
    flow(pod("web"), pod("db"), 5432),
    flow(pod("cron", 3), pod("db"), 5432),
    ...[2_000, 3_000].map((timeMs) => flow(world("192.0.2.1"), pod("db"), 5432, { timeMs })),
    flow(pod("web"), pod("other"), 80),
  );
  const because = "ingress: dropped, no rule of CiliumNetworkPolicy shop/db allows it";
  const common = { to: "shop/db", protocol: "TCP", port: 5432, before: "allowed", after: "dropped", because };
  assert.deepEqual(report, {
    flows: 5,
    unchanged: 2,
    changed: [
      { from: "192.0.2.1", ...common, count: 2, firstMs: 2_000, lastMs: 3_000 },
      { from: "shop/cron", ...common, count: 1, firstMs: 1_000, lastMs: 1_000 },
    ],
    recordedOtherwise: 0,
    notJudged: [],
  });
});

test("taking a policy away shows what would pass then, and replacing one what is denied by which rule", () => {
  const closed = rule("db", "db", []);
  const gone = ask(policies(closed), policies(), flow(pod("web"), pod("db"), 80, { verdict: "dropped" }));
  assert.deepEqual(
    gone.changed.map(({ before, after, because }) => [before, after, because]),
    [["dropped", "allowed", "ingress: allowed by allow-any-ingress"]],
  );
  const denying = rule("db", "db", [], { ingressDeny: [{ ...from("web"), path: "ingressDeny[0]" }] });
  const replaced = ask(policies(closed), policies(denying), flow(pod("web"), pod("db"), 80, { verdict: "dropped" }));
  assert.equal(replaced.changed[0]?.because, "ingress: denied by ingressDeny[0] of CiliumNetworkPolicy shop/db");
});

test("pods of one workload count together, and pods that differ in labels do not hide in each other", () => {
  const after = policies(rule("db", "db", []));
  const together = ask(policies(), after, flow(pod("web", 1), pod("db"), 80), flow(pod("web", 2), pod("db", 9), 80));
  assert.deepEqual(
    together.changed.map(({ count }) => count),
    [2],
  );
  const marked = { ...pod("web", 3), labels: [...pod("web").labels, "k8s:tier=gold"] };
  const gold: RuleSection = {
    path: "ingress[0]",
    peers: [{ kind: "endpoints", selector: Selector.of({ matchLabels: { tier: "gold" } }) }],
  };
  const apart = ask(policies(), policies(rule("db", "db", [gold])), flow(pod("web", 1), pod("db"), 80), flow(marked, pod("db"), 80));
  assert.deepEqual([apart.unchanged, apart.changed.length], [1, 1]);
});

test("names of ports are those of the pod that receives", () => {
  const ports = [{ path: "ingress[0].toPorts[0]", ports: [{ kind: "name", protocol: protocols.tcp, name: "http" } as const] }];
  const after = policies(rule("db", "db", [{ path: "ingress[0]", ports }]));
  const whatIf = new WhatIf({
    before: policies(),
    after,
    namedPortsOf: ({ podName }) => (podName === "db-1" ? [{ name: "http", protocol: protocols.tcp, port: 8080 }] : []),
  });
  for (const port of [8080, 8081]) whatIf.add(flow(pod("web"), pod("db"), port));
  assert.deepEqual(
    whatIf.report().changed.map(({ port }) => port),
    [8081],
  );
});

test("what cannot be judged is counted by reason, and what was recorded under other policies is told", () => {
  const closed = policies(rule("db", "db", []));
  const report = ask(
    closed,
    closed,
    flow(nobody, pod("db"), 80),
    flow(world(""), pod("db"), 80),
    flow(pod("web"), nobody, 80),
    { kind: "unusable", reason: "answers" },
    flow(pod("web"), pod("db"), 80),
    flow(pod("web"), pod("db"), 80, { verdict: "dropped" }),
    flow(pod("web"), pod("web", 2), 80, { verdict: "dropped" }),
  );
  assert.deepEqual(report.notJudged, [
    { reason: "it is not known who the sender was", count: 2 },
    { reason: "it is not known who the receiver was", count: 1 },
    { reason: "answers", count: 1 },
  ]);
  assert.deepEqual([report.flows, report.unchanged, report.recordedOtherwise], [7, 3, 2]);
});

test("a policy that is only audited shows what it would stop, and that it passes", () => {
  const { changed } = ask(policies(), policies(rule("db", "db", [], { audit: true })), flow(pod("web"), pod("db"), 80));
  assert.deepEqual(
    changed.map(({ before, after, because }) => [before, after, because]),
    [["allowed", "audited", "ingress: only audited: dropped, no rule of CiliumNetworkPolicy shop/db allows it"]],
  );
});

test("an address outside is known by the names that the flow tells, and only by those that policies mean", () => {
  const named = (address: string, ...names: string[]): ObservedEnd => ({ ...world(address), names });
  const egress: RuleSection[] = [{ path: "egress[0]", peers: [{ kind: "fqdn", pattern: "*.example.org" }] }];
  const after = policies(rule("web", "web", [], { egress, enableDefaultDeny: { ingress: false, egress: true } }));
  const report = ask(
    policies(),
    after,
    flow(pod("web"), named("192.0.2.1", "API.example.org."), 443),
    flow(pod("web"), named("192.0.2.2", "api.example.net"), 443),
    flow(pod("web"), world("192.0.2.3"), 443),
  );
  assert.deepEqual(
    report.changed.map(({ to }) => to),
    ["192.0.2.3", "api.example.net (192.0.2.2)"],
  );
});
