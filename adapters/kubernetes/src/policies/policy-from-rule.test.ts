import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Labels } from "@cilium-ts/labels";
import { explainPacket, type PolicyWorld, type Rule } from "@cilium-ts/policy";
import { parse as parseYaml } from "yaml";
import { parseCiliumClusterwideNetworkPolicy, parseCiliumNetworkPolicy } from "./cilium-network-policy.ts";
import { ciliumPolicyFromRule } from "./policy-from-rule.ts";

const options = { clusterName: "default", nodeSelectorLabels: true };

/** All that a rule says, without its object's number and the paths of its items. */
function sayings(rule: Rule | undefined): unknown {
  assert.ok(rule !== undefined);
  const { policy, ...said } = rule;
  const text = JSON.stringify({ ...said, namespace: policy.namespace, name: policy.name });
  return JSON.parse(text, (key, value) => (key === "path" ? undefined : value));
}

function again(rule: Rule): Rule | undefined {
  const object = ciliumPolicyFromRule(rule);
  const parse = object.kind === "CiliumNetworkPolicy" ? parseCiliumNetworkPolicy : parseCiliumClusterwideNetworkPolicy;
  const { rules, problems } = parse(object, options);
  assert.deepEqual(problems, [], JSON.stringify(object));
  return rules[0];
}

const folder = new URL("../../testdata/cilium-network-policies/", import.meta.url);
for (const file of readdirSync(folder)) {
  test(`the rules of ${file} are written and read again as they were`, () => {
    const { rules } = parseCiliumNetworkPolicy(parseYaml(readFileSync(new URL(file, folder), "utf8")), options);
    for (const rule of rules) assert.deepEqual(sayings(again(rule)), sayings(rule));
  });
}

test("groups, services, nodes, requirements and names are written too", () => {
  const object = {
    metadata: { name: "wide" },
    spec: {
      endpointSelector: { matchExpressions: [{ key: "k8s:app", operator: "In", values: ["a", "b"] }] },
      ingress: [
        { fromCIDRSet: [{ cidrGroupRef: "office", except: ["10.0.0.0/24"] }, { cidrGroupSelector: { matchLabels: { kind: "vpn" } } }] },
        { fromNodes: [{ matchLabels: { zone: "a" } }], toPorts: [{ ports: [{ port: "http", protocol: "TCP" }] }] },
        { fromEndpoints: [{}], fromRequires: [{ matchLabels: { team: "x" } }], icmps: [{ fields: [{ type: 8 }] }] },
        {},
      ],
      egress: [{ toServices: [{ k8sService: { serviceName: "db", namespace: "prod" } }, { k8sServiceSelector: { selector: {} } }] }],
      log: { value: "note" },
    },
  };
  const [rule] = parseCiliumClusterwideNetworkPolicy(object, options).rules;
  assert.ok(rule !== undefined);
  assert.deepEqual(sayings(again(rule)), sayings(rule));
});

test("a policy of nodes is written as one", () => {
  const spec = { nodeSelector: { matchLabels: { "k8s:zone": "a" } }, ingressDeny: [{ fromEntities: ["world"] }] };
  const [rule] = parseCiliumClusterwideNetworkPolicy({ metadata: { name: "nodes" }, spec }, options).rules;
  assert.ok(rule !== undefined);
  assert.deepEqual(sayings(again(rule)), sayings(rule));
  assert.deepEqual((ciliumPolicyFromRule(rule) as { spec?: { nodeSelector?: unknown } }).spec?.nodeSelector, spec.nodeSelector);
});

test("what would let a dropped packet through is an object that can be applied", () => {
  const pod = (app: string, namespace: string): Labels =>
    Labels.parse([`k8s:app=${app}`, `k8s:io.kubernetes.pod.namespace=${namespace}`, "k8s:io.cilium.k8s.policy.cluster=default"]);
  const closed = { metadata: { name: "closed", namespace: "shop" }, spec: { endpointSelector: {}, ingress: [{}] } };
  const { rules } = parseCiliumNetworkPolicy(closed, options);
  const base = { cidrGroups: [], services: [], mode: "default", allowLocalhost: true, clusterName: "default", families: [4, 6] } as const;
  const world: PolicyWorld = { ...base, rules };
  const question = { from: { labels: pod("web", "front") }, to: { labels: pod("db", "shop") }, protocol: 6, port: 5432 };
  const { remedy } = explainPacket(question, world).ingress ?? {};
  assert.ok(remedy !== undefined);
  assert.deepEqual(ciliumPolicyFromRule(remedy), {
    apiVersion: "cilium.io/v2",
    kind: "CiliumNetworkPolicy",
    metadata: { name: "allow-db-from-web-5432", namespace: "shop" },
    spec: {
      endpointSelector: { matchLabels: { "k8s:app": "db" } },
      ingress: [
        {
          fromEndpoints: [{ matchLabels: { "k8s:app": "web", "k8s:io.kubernetes.pod.namespace": "front" } }],
          toPorts: [{ ports: [{ port: "5432", protocol: "TCP" }] }],
        },
      ],
      enableDefaultDeny: { ingress: false, egress: false },
    },
  });
  const applied = again(remedy);
  assert.ok(applied !== undefined);
  assert.equal(explainPacket(question, { ...world, rules: [...rules, applied] }).verdict, "allowed");
});
