import assert from "node:assert/strict";
import { test } from "node:test";
import { type KubernetesObject, listAt, recordAt, resources } from "@cilium-ts/kubernetes";
import { eventually } from "@cilium-ts/testing";
import { TestCluster } from "../test-cluster.ts";

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
