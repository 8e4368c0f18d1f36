import assert from "node:assert/strict";
import { test } from "node:test";
import { createObjectChecker, readPolicyApiDefinitions } from "@cilium-ts/kubernetes-server/check";
import { startTestServer } from "@cilium-ts/kubernetes-server/testing";
import { Labels } from "@cilium-ts/labels";
import { explainPacket, type PolicyWorld, type Rule } from "@cilium-ts/policy";
import { openKubernetes } from "../client.ts";
import type { KubernetesObject } from "../kubernetes-object.ts";
import { resources } from "../resource.ts";
import { parseAdminNetworkPolicy, parseBaselineAdminNetworkPolicy, parseClusterNetworkPolicy } from "./cluster-network-policy.ts";
import { parseNetworkPolicy } from "./network-policy.ts";

const everybody = { namespaces: {} };
const options = { clusterName: "default", nodeSelectorLabels: true };
const db = { namespaceSelector: {}, podSelector: { matchLabels: { app: "db" } } };

function cluster(spec: object, name = "rule"): unknown {
  return { kind: "ClusterNetworkPolicy", metadata: { name }, spec: { tier: "Admin", priority: 10, subject: everybody, ...spec } };
}

function egress(peer: object, more: object = {}): unknown {
  return cluster({ egress: [{ action: "Deny", to: [peer], ...more }] });
}

function ports(protocol: object): unknown {
  return cluster({ ingress: [{ action: "Accept", from: [everybody], protocols: [protocol] }] });
}

const many = <T>(item: T): T[] => Array.from({ length: 26 }, () => item);

const rows: readonly [name: string, object: unknown, path: string, message: RegExp][] = [
  ["an unknown tier", cluster({ tier: "Normal" }), "spec.tier", /must be Admin or Baseline/],
  ["a priority beyond the last", cluster({ priority: 1001 }), "spec.priority", /from 0 \(asked first\) to 1000/],
  ["no priority", cluster({ priority: undefined }), "spec.priority", /not nothing/],
  ["no subject", cluster({ subject: undefined }), "spec.subject", /is required/],
  ["a subject of two kinds", cluster({ subject: { namespaces: {}, pods: db } }), "spec.subject", /one of namespaces, pods/],
  [
    "an action that is none",
    cluster({ ingress: [{ action: "Allow", from: [everybody] }] }),
    "spec.ingress[0].action",
    /Accept, Deny, Pass/,
  ],
  ["no peers", cluster({ ingress: [{ action: "Deny", from: [] }] }), "spec.ingress[0].from", /at least one peer/],
  [
    "networks in ingress",
    cluster({ ingress: [{ action: "Deny", from: [{ networks: ["10.0.0.0/8"] }] }] }),
    "spec.ingress[0].from[0].networks",
    /unknown field/,
  ],
  ["a peer of two kinds", egress({ namespaces: {}, networks: ["10.0.0.0/8"] }), "spec.egress[0].to[0]", /must have one of/],
  ["a network that is none", egress({ networks: ["10.0.0.0/33"] }), "spec.egress[0].to[0].networks[0]", /no CIDR/],
  ["names of domains", egress({ domainNames: ["a.example"] }), "spec.egress[0].to[0].domainNames", /not supported yet/],
  [
    "a port's name beside networks",
    egress({ networks: ["10.0.0.0/8"] }, { protocols: [{ destinationNamedPort: "http" }] }),
    "spec.egress[0].protocols",
    /names a port/,
  ],
  ["a transport of two kinds", ports({ tcp: {}, udp: {} }), "spec.ingress[0].protocols[0]", /one of tcp, udp/],
  [
    "port 0",
    ports({ tcp: { destinationPort: { number: 0 } } }),
    "spec.ingress[0].protocols[0].tcp.destinationPort.number",
    /from 1 to 65535/,
  ],
  [
    "a range that ends early",
    ports({ udp: { destinationPort: { range: { start: 9, end: 8 } } } }),
    "spec.ingress[0].protocols[0].udp.destinationPort.range",
    /before it starts/,
  ],
  ["too many rules", cluster({ ingress: many({ action: "Deny", from: [everybody] }) }), "spec.ingress", /the most is 25/],
];

for (const [name, object, path, message] of rows) {
  test(`${name} makes the whole policy invalid`, () => {
    const { rules, problems } = parseClusterNetworkPolicy(object, options);
    assert.deepEqual(rules, []);
    assert.equal(problems[0]?.path, path);
    assert.match(problems[0]?.message ?? "", message);
  });
}

test("nodes are no peers where nodes are not told apart", () => {
  const [problem] = parseClusterNetworkPolicy(egress({ nodes: {} })).problems;
  assert.match(problem?.message ?? "", /enable-node-selector-labels/);
});

test("the baseline policy has one name, no priority and no pass", () => {
  const spec = { subject: everybody, ingress: [{ action: "Pass", from: [everybody] }] };
  const { problems } = parseBaselineAdminNetworkPolicy({ metadata: { name: "other" }, spec });
  assert.deepEqual(
    problems.map(({ path }) => path),
    ["metadata.name", "spec.ingress[0].action"],
  );
});

const labels = (app: string, namespace = "shop"): Labels =>
  Labels.parse([
    `k8s:app=${app}`,
    `k8s:io.kubernetes.pod.namespace=${namespace}`,
    `k8s:io.cilium.k8s.namespace.labels.team=${namespace}`,
    "k8s:io.cilium.k8s.policy.cluster=default",
  ]);

function verdict(rules: readonly Rule[], from: Labels, to: Labels, port: number): string {
  const base = { cidrGroups: [], services: [], mode: "default", allowLocalhost: true, clusterName: "default", families: [4, 6] } as const;
  const world: PolicyWorld = { ...base, rules };
  return explainPacket({ from: { labels: from }, to: { labels: to }, protocol: 6, port }, world).verdict;
}

function rulesOf({ rules, problems }: { readonly rules: readonly Rule[]; readonly problems: readonly unknown[] }): readonly Rule[] {
  assert.deepEqual(problems, []);
  return rules;
}

test("an admin policy decides before any other, passes on what it wants, and the baseline is asked last", () => {
  const teamShop = { namespaces: { matchLabels: { team: "shop" } } };
  const tcp = (number: number): object => ({ tcp: { destinationPort: { number } } });
  const adminRules = rulesOf(
    parseClusterNetworkPolicy(
      cluster({
        subject: { pods: db },
        ingress: [
          { action: "Accept", from: [teamShop], protocols: [tcp(1)] },
          { action: "Pass", from: [teamShop], protocols: [tcp(2), { udp: {} }] },
          { action: "Deny", from: [{ pods: { podSelector: { matchLabels: { app: "web" } } } }] },
        ],
      }),
      options,
    ),
  );
  const closed = rulesOf(parseNetworkPolicy({ metadata: { name: "np", namespace: "shop" }, spec: { podSelector: {} } }, options));
  const low = rulesOf(
    parseClusterNetworkPolicy(
      cluster({ tier: "Baseline", ingress: [{ action: "Deny", from: [everybody], protocols: [tcp(2)] }] }),
      options,
    ),
  );
  const [web, other, target] = [labels("web"), labels("other"), labels("db")];
  const all = [...adminRules, ...closed, ...low];
  assert.equal(verdict(all, web, target, 1), "allowed", "accepted above the policy that closes");
  assert.equal(verdict(all, web, target, 2), "dropped", "passed on to the policy that closes");
  assert.equal(verdict(all, web, target, 3), "denied");
  assert.equal(verdict(all, other, target, 3), "dropped");
  assert.equal(verdict([...adminRules, ...low], web, target, 2), "denied", "where nothing closes, the baseline decides");
  assert.equal(verdict([...adminRules, ...low], other, target, 3), "allowed");
  assert.equal(verdict(all, web, labels("db", "elsewhere"), 3), "denied", "subjects are of any namespace");
});

test("the forerunners of v1alpha1 say the same in their own words", () => {
  const spec = {
    priority: 1,
    subject: { namespaces: {} },
    egress: [
      { action: "Allow", to: [{ networks: ["10.0.0.0/8"] }], ports: [{ portNumber: { port: 53, protocol: "UDP" } }, { namedPort: "dns" }] },
    ],
  };
  const named = parseAdminNetworkPolicy({ metadata: { name: "a" }, spec }, options);
  assert.deepEqual(named.problems[0]?.path, "spec.egress[0].ports");
  spec.egress[0]?.ports.pop();
  const [rule] = rulesOf(parseAdminNetworkPolicy({ metadata: { name: "a" }, spec }, options));
  assert.deepEqual(rule?.tier?.egress, [
    {
      path: "egress[0]",
      action: "accept",
      peers: [{ kind: "cidr", cidr: "10.0.0.0/8", except: [] }],
      ports: [{ path: "egress[0].ports", ports: [{ kind: "number", protocol: 17, first: 53, last: 53 }] }],
    },
  ]);
});

test("the definitions of the network policy API are served beside ours, and another of its group needs an approval", async () => {
  await using server = await startTestServer({ definitions: readPolicyApiDefinitions() });
  await using client = await openKubernetes({ server: server.url });
  const { signal } = new AbortController();
  await client.create(resources.clusterNetworkPolicies, cluster({}) as KubernetesObject, { signal });
  const [definition] = readPolicyApiDefinitions() as unknown as KubernetesObject[];
  const { annotations: _, ...metadata } = definition?.metadata ?? {};
  const unapproved = { ...definition, metadata: { ...metadata, name: "others.policy.networking.k8s.io" } };
  await assert.rejects(client.create(resources.customResourceDefinitions, unapproved, { signal }), /belong to Kubernetes/);
});

test("the schemas refuse what they can say themselves", () => {
  const check = createObjectChecker(readPolicyApiDefinitions());
  const bad = { apiVersion: "policy.networking.k8s.io/v1alpha2", ...(cluster({ priority: 1001 }) as object) };
  assert.match(JSON.stringify(check(bad)), /1000/);
});
