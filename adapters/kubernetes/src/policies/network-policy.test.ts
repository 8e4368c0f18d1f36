import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "@cilium-ts/labels";
import { parseNetworkPolicy } from "./network-policy.ts";

function policy(spec: unknown): unknown {
  return { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name: "np", namespace: "shop", uid: "u-1" }, spec };
}

function parseOne(spec: unknown) {
  const { rules, problems } = parseNetworkPolicy(policy(spec), { clusterName: "one" });
  assert.deepEqual(problems, []);
  const [rule] = rules;
  assert.ok(rule !== undefined);
  return rule;
}

for (const [name, spec, expected] of [
  ["nothing said is ingress", { podSelector: {} }, { ingress: true, egress: false }],
  ["egress rules close egress too", { podSelector: {}, egress: [{}] }, { ingress: true, egress: true }],
  ["an empty list of egress rules is none", { podSelector: {}, egress: [] }, { ingress: true, egress: false }],
  ["the types that are given are those", { podSelector: {}, policyTypes: ["Egress"] }, { ingress: false, egress: true }],
  ["no types given is as nothing said", { podSelector: {}, policyTypes: [], egress: [{}] }, { ingress: true, egress: true }],
] as const) {
  test(`default deny: ${name}`, () => assert.deepEqual(parseOne(spec).enableDefaultDeny, expected));
}

test("rules of a direction that the types leave out say nothing", () => {
  const rule = parseOne({ podSelector: {}, policyTypes: ["Egress"], ingress: [{}], egress: [{}] });
  assert.deepEqual([rule.ingress.length, rule.egress.length], [0, 1]);
  assert.deepEqual(rule.enableDefaultDeny, { ingress: false, egress: true });
});

test("it is about pods of its namespace", () => {
  const { endpointSelector, policy: reference } = parseOne({ podSelector: { matchLabels: { app: "web" } } });
  const pod = (namespace: string, source = "k8s"): Labels =>
    Labels.parse([`${source}:app=web`, `k8s:io.kubernetes.pod.namespace=${namespace}`]);
  assert.deepEqual(
    [pod("shop"), pod("prod"), pod("shop", "container")].map((labels) => endpointSelector.matches(labels)),
    [true, false, false],
  );
  assert.deepEqual([reference.kind, reference.namespace, reference.name, reference.uid], ["NetworkPolicy", "shop", "np", "u-1"]);
});

const shopWeb = ["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"];
const prodWeb = ["k8s:app=web", "k8s:io.kubernetes.pod.namespace=prod", "k8s:io.cilium.k8s.namespace.labels.stage=live"];
const prodDb = ["k8s:app=db", "k8s:io.kubernetes.pod.namespace=prod", "k8s:io.cilium.k8s.namespace.labels.stage=live"];
const inCluster = (labels: readonly string[], cluster = "one"): Labels =>
  Labels.parse([...labels, `k8s:io.cilium.k8s.policy.cluster=${cluster}`]);

for (const [name, peer, expected] of [
  ["pods of the namespace", { podSelector: { matchLabels: { app: "web" } } }, [true, false, false]],
  ["every pod of the namespace", { podSelector: {} }, [true, false, false]],
  ["namespaces by their labels", { namespaceSelector: { matchLabels: { stage: "live" } } }, [false, true, true]],
  ["every namespace", { namespaceSelector: {} }, [true, true, true]],
  [
    "pods of chosen namespaces",
    { namespaceSelector: { matchExpressions: [{ key: "stage", operator: "Exists" }] }, podSelector: { matchLabels: { app: "web" } } },
    [false, true, false],
  ],
] as const) {
  test(`peers: ${name}, of this cluster`, () => {
    const [found] = parseOne({ podSelector: {}, ingress: [{ from: [peer] }] }).ingress[0]?.peers ?? [];
    assert.ok(found?.kind === "endpoints");
    assert.deepEqual(
      [shopWeb, prodWeb, prodDb].map((labels) => found.selector.matches(inCluster(labels))),
      expected,
    );
    assert.ok(![shopWeb, prodWeb, prodDb].some((labels) => found.selector.matches(inCluster(labels, "two"))));
    assert.ok(!found.selector.matches(Labels.parse(["reserved:host"])));
  });
}

for (const [name, rule, expected] of [
  ["nothing restricts nothing", {}, { path: "ingress[0]" }],
  ["empty lists restrict nothing", { from: [], ports: [] }, { path: "ingress[0]" }],
  [
    "a block has holes",
    { from: [{ ipBlock: { cidr: "10.1.2.3/8", except: ["10.9.0.0/16"] } }] },
    { path: "ingress[0]", peers: [{ kind: "cidr", cidr: "10.0.0.0/8", except: ["10.9.0.0/16"] }] },
  ],
] as const) {
  test(`rules: ${name}`, () => assert.deepEqual(parseOne({ podSelector: {}, ingress: [rule] }).ingress[0], expected));
}

for (const [name, port, expected] of [
  ["no protocol is TCP", { port: 80 }, { kind: "number", protocol: 6, first: 80, last: 80 }],
  ["no port is every port of the protocol", { protocol: "SCTP" }, { kind: "number", protocol: 132, first: 0, last: 65535 }],
  ["a range has both ends", { port: 80, endPort: 90, protocol: "UDP" }, { kind: "number", protocol: 17, first: 80, last: 90 }],
  ["a name is what pods call so", { port: "http" }, { kind: "name", protocol: 6, name: "http" }],
] as const) {
  test(`ports: ${name}`, () => {
    const groups = parseOne({ podSelector: {}, policyTypes: ["Egress"], egress: [{ ports: [port] }] }).egress[0]?.ports;
    assert.deepEqual(groups, [{ path: "egress[0].ports[0]", ports: [expected] }]);
  });
}

const from = (peer: unknown): unknown => ({ podSelector: {}, ingress: [{ from: [peer] }] });
const ports = (port: unknown): unknown => ({ podSelector: {}, ingress: [{ ports: [port] }] });

for (const [name, spec, path, message] of [
  ["no spec", undefined, "spec", /is required/],
  ["an unknown field", { podSelector: {}, ingres: [] }, "spec.ingres", /unknown field/],
  ["an unknown type", { podSelector: {}, policyTypes: ["ingress"] }, "spec.policyTypes[0]", /must be Ingress or Egress/],
  ["an empty peer", from({}), "spec.ingress[0].from[0]", /must have podSelector, namespaceSelector or ipBlock/],
  ["a block beside a selector", from({ ipBlock: { cidr: "10.0.0.0/8" }, podSelector: {} }), "spec.ingress[0].from[0]", /beside a selector/],
  ["a block that is none", from({ ipBlock: { cidr: "10.0.0.1" } }), "spec.ingress[0].from[0].ipBlock.cidr", /is no CIDR/],
  [
    "a hole outside the block",
    from({ ipBlock: { cidr: "10.0.0.0/8", except: ["11.0.0.0/8"] } }),
    "spec.ingress[0].from[0].ipBlock.except[0]",
    /does not lie in/,
  ],
  [
    "a source in a label key",
    from({ podSelector: { matchLabels: { "k8s:app": "a" } } }),
    'spec.ingress[0].from[0].podSelector.matchLabels["k8s:app"]',
    /no label key/,
  ],
  ["port 70000", ports({ port: 70000 }), "spec.ingress[0].ports[0].port", /from 1 to 65535/],
  ["port 0", ports({ port: 0 }), "spec.ingress[0].ports[0].port", /from 1 to 65535/],
  ["a number in quotes", ports({ port: "80" }), "spec.ingress[0].ports[0].port", /is no port/],
  ["ICMP", ports({ protocol: "ICMP" }), "spec.ingress[0].ports[0].protocol", /write TCP, UDP or SCTP/],
  ["a range from nowhere", ports({ endPort: 90 }), "spec.ingress[0].ports[0].endPort", /needs a port/],
  ["a range from a name", ports({ port: "http", endPort: 90 }), "spec.ingress[0].ports[0].endPort", /needs a numeric port/],
  ["a range that ends before it begins", ports({ port: 80, endPort: 79 }), "spec.ingress[0].ports[0].endPort", /lies before/],
] as const) {
  test(`${name} makes the policy invalid`, () => {
    const { rules, problems } = parseNetworkPolicy(policy(spec));
    assert.deepEqual(rules, []);
    const found = problems.find((problem) => problem.path === path);
    assert.ok(found !== undefined, JSON.stringify(problems));
    assert.match(found.message, message);
  });
}
