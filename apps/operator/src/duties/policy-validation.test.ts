import assert from "node:assert/strict";
import { test } from "node:test";
import { type KubernetesObject, listAt, recordAt, resources, textAt } from "@cilium-ts/kubernetes";
import { eventually } from "@cilium-ts/testing";
import { TestCluster } from "../test-cluster.ts";

const { ciliumCidrGroups, networkPolicies, events, clusterNetworkPolicies } = resources;
const { adminNetworkPolicies, baselineAdminNetworkPolicies } = resources;
const { ciliumNetworkPolicies: cnps, ciliumClusterwideNetworkPolicies: ccnps } = resources;
const settings = { "validate-network-policy": "true" };
const good = { endpointSelector: { matchLabels: { app: "web" } }, ingress: [{ fromEntities: ["cluster"] }] };
/** It passes the schema, and is refused by the rules. */
const bad = { endpointSelector: {}, ingress: [{ fromCIDRSet: [{ cidr: "10.0.0.0/8", except: ["192.168.0.0/16"] }] }] };

function conditions(object: KubernetesObject | undefined): readonly Record<string, unknown>[] {
  return listAt(recordAt(object, "status"), "conditions") as Record<string, unknown>[];
}

function valid(object: KubernetesObject | undefined): string {
  const condition = conditions(object).find(({ type }) => type === "Valid");
  return condition === undefined ? "" : `${condition.status} ${condition.reason}: ${condition.message}`;
}

test("the status of each policy says whether it is valid, and follows its changes", async () => {
  await using cluster = await TestCluster.start();
  const name = { namespace: "default", name: "p" };
  await cluster.create(cnps, { metadata: name, spec: bad });
  const operator = cluster.startOperator(settings);
  const refusal = /^False Invalid: spec\.ingress\[0\]\.fromCIDRSet\[0\]\.except\[0\]: 192\.168\.0\.0\/16 does not lie in 10\.0\.0\.0\/8/;
  await cluster.becomes(cnps, name, (object) => assert.match(valid(object), refusal));
  assert.ok(operator.lines.some((line) => line.startsWith("CiliumNetworkPolicy default/p is not valid: spec.ingress[0]")));
  await cluster.patch(cnps, name, { spec: good });
  await cluster.becomes(cnps, name, (object) => assert.equal(valid(object), "True Valid: Policy validation succeeded"));
  const { metadata } = (await cluster.get(cnps, name)) ?? { metadata: {} };
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal((await cluster.get(cnps, name))?.metadata.resourceVersion, metadata.resourceVersion, "what is said is not said again");
});

test("cluster-wide policies are judged too, by their own rules", async () => {
  await using cluster = await TestCluster.start();
  await cluster.create(ccnps, { metadata: { name: "fine" }, spec: good });
  await cluster.create(ccnps, { metadata: { name: "wrong" }, spec: bad });
  cluster.startOperator(settings);
  await cluster.becomes(ccnps, { name: "fine" }, (object) => assert.match(valid(object), /^True/));
  await cluster.becomes(ccnps, { name: "wrong" }, (object) => assert.match(valid(object), /^False Invalid: spec\.ingress\[0\]/));
});

test("conditions of others stay", async () => {
  await using cluster = await TestCluster.start();
  const name = { namespace: "default", name: "p" };
  await cluster.create(cnps, { metadata: name, spec: good });
  await cluster.patch(cnps, name, { status: { conditions: [{ type: "Other", status: "True" }] } }, "status");
  cluster.startOperator(settings);
  await eventually(async () =>
    assert.deepEqual(
      conditions(await cluster.get(cnps, name)).map(({ type, status }) => `${type}=${status}`),
      ["Other=True", "Valid=True"],
    ),
  );
});

test("what a valid policy asks for in vain is said in its status", async () => {
  await using cluster = await TestCluster.start();
  const name = { namespace: "default", name: "p" };
  const toPorts = [{ ports: [{ port: "80", protocol: "TCP" }], rules: { http: [{ path: "/a" }] } }];
  await cluster.create(cnps, { metadata: name, spec: { endpointSelector: {}, ingress: [{ toPorts }] } });
  cluster.startOperator(settings);
  const said = /^True Valid: Policy validation succeeded, but ingress\[0\]\.toPorts\[0\] needs a proxy for http, and no node has one/;
  await cluster.becomes(cnps, name, (object) => assert.match(valid(object), said));
});

test("each rule that is wrong is told, and the time of the condition is that of its last change of mind", async () => {
  await using cluster = await TestCluster.start();
  const name = { namespace: "default", name: "p" };
  const wrong = [{ fromCIDRSet: [{ cidr: "10.0.0.0/8", except: ["192.168.0.0/16", "192.169.0.0/16"] }] }];
  const specs = [{ ...good }, { ...bad, egress: [{ toCIDRSet: wrong[0]?.fromCIDRSet }] }, { endpointSelector: {}, ingressDeny: wrong }];
  await cluster.create(cnps, { metadata: name, specs });
  const old = { type: "Valid", status: "False", reason: "Invalid", message: "other words", lastTransitionTime: "2026-01-01T00:00:00Z" };
  await cluster.patch(cnps, name, { status: { conditions: [old] } }, "status");
  cluster.startOperator(settings);
  await cluster.becomes(cnps, name, (object) => {
    const [condition] = conditions(object);
    const told = String(condition?.message).split("; ");
    assert.deepEqual(
      told.map((sentence) => sentence.slice(0, sentence.indexOf(": "))),
      [
        "specs[1].ingress[0].fromCIDRSet[0].except[0]",
        "specs[1].egress[0].toCIDRSet[0].except[0]",
        "specs[1].egress[0].toCIDRSet[0].except[1]",
        "specs[2].ingressDeny[0].fromCIDRSet[0].except[0]",
        "specs[2].ingressDeny[0].fromCIDRSet[0].except[1]",
      ],
    );
    assert.equal(condition?.lastTransitionTime, old.lastTransitionTime);
  });
});

test("policies of the tiers say of which generation of theirs they are valid or not", async () => {
  await using cluster = await TestCluster.start();
  const peers = { namespaces: {} };
  const subject = { namespaces: {} };
  const rule = (action: string, side: "from" | "to", more: object = {}) => ({ action, [side]: [peers], ...more });
  const spec = { tier: "Admin", priority: 5, subject, ingress: [rule("Accept", "from")], egress: [] as object[] };
  await cluster.create(clusterNetworkPolicies, { metadata: { name: "c" }, spec });
  await cluster.create(adminNetworkPolicies, { metadata: { name: "a" }, spec: { priority: 5, subject, ingress: [rule("Pass", "from")] } });
  await cluster.create(baselineAdminNetworkPolicies, { metadata: { name: "default" }, spec: { subject, egress: [rule("Deny", "to")] } });
  cluster.startOperator(settings);
  await cluster.becomes(adminNetworkPolicies, { name: "a" }, (object) => assert.match(valid(object), /^True Valid: Policy/));
  await cluster.becomes(baselineAdminNetworkPolicies, { name: "default" }, (object) => assert.match(valid(object), /^True/));
  const generation = (object: KubernetesObject | undefined) => [
    conditions(object)[0]?.status,
    conditions(object)[0]?.observedGeneration,
    object?.metadata.generation,
  ];
  await cluster.becomes(clusterNetworkPolicies, { name: "c" }, (object) => assert.deepEqual(generation(object), ["True", 1, 1]));
  await cluster.patch(clusterNetworkPolicies, { name: "c" }, { spec: { priority: 6 } });
  await cluster.becomes(clusterNetworkPolicies, { name: "c" }, (object) => assert.deepEqual(generation(object), ["True", 2, 2]));
  const names = { action: "Accept", to: [{ domainNames: ["example.com"] }] };
  await cluster.patch(clusterNetworkPolicies, { name: "c" }, { spec: { egress: [names] } });
  await cluster.becomes(clusterNetworkPolicies, { name: "c" }, (object) => {
    assert.match(valid(object), /^False Invalid: spec\.egress\[0\]\.to\[0\]\.domainNames: is not supported yet/);
    assert.deepEqual(generation(object), ["False", 3, 3]);
  });
});

test("a cluster without tiers has its policies judged all the same", async () => {
  await using cluster = await TestCluster.start({ definitions: false });
  cluster.startOperator({ ...settings, "skip-crd-creation": "false" });
  await eventually(() => cluster.create(cnps, { metadata: { namespace: "default", name: "p" }, spec: good }));
  await cluster.becomes(cnps, { namespace: "default", name: "p" }, (object) => assert.match(valid(object), /^True/));
});

test("what has no status is told by an Event, and policies say when a group that they name is missing or wrong", async () => {
  await using cluster = await TestCluster.start();
  const range = { protocol: "TCP", port: 90, endPort: 80 };
  const np = { podSelector: {}, ingress: [{ ports: [range] }] };
  await cluster.create(networkPolicies, { metadata: { namespace: "default", name: "k" }, spec: np });
  await cluster.create(ciliumCidrGroups, { metadata: { name: "office" }, spec: { externalCIDRs: ["10.0.0.0/8", "fe80::%eth0/64"] } });
  const ingress = [{ fromCIDRSet: [{ cidrGroupRef: "office" }] }, { fromCIDRSet: [{ cidrGroupRef: "nowhere" }] }];
  await cluster.create(ccnps, { metadata: { name: "p" }, spec: { endpointSelector: {}, ingress } });
  cluster.startOperator(settings);
  await cluster.becomes(ccnps, { name: "p" }, (object) => {
    assert.match(valid(object), /^True .*ingress\[0\] names the CiliumCIDRGroup office, which is not valid .*spec\.externalCIDRs\[1\]/);
    assert.match(valid(object), /ingress\[1\] names the CiliumCIDRGroup nowhere, which does not exist/);
  });
  await eventually(async () => {
    const told = (await cluster.list(events)).map(({ involvedObject, message, type }) => [type, textAt(involvedObject, "kind"), message]);
    const sorted = told.map(([type, kind, message]) => `${type} ${kind} ${String(message).split(": ")[1]}`).sort();
    assert.deepEqual(sorted, ["Warning CiliumCIDRGroup spec.externalCIDRs[1]", "Warning NetworkPolicy spec.ingress[0].ports[0].endPort"]);
  });
});
