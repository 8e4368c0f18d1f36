import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "@cilium-ts/labels";
import { policyServiceFrom, serviceSliceFrom } from "./policy-service.ts";

const metadata = { name: "db", namespace: "shop", labels: { tier: "data" } };

test("a service with a selector is its endpoints, of its namespace and cluster", () => {
  const { selector, ...rest } = policyServiceFrom({ metadata, spec: { selector: { app: "db" } } }, "one");
  assert.deepEqual([rest.namespace, rest.name, rest.labels.format(), rest.addresses], ["shop", "db", ["k8s:tier=data"], []]);
  const pod = (namespace: string, cluster: string): Labels =>
    Labels.parse(["k8s:app=db", `k8s:io.kubernetes.pod.namespace=${namespace}`, `k8s:io.cilium.k8s.policy.cluster=${cluster}`]);
  assert.deepEqual(
    [pod("shop", "one"), pod("prod", "one"), pod("shop", "two")].map((labels) => selector?.matches(labels)),
    [true, false, false],
  );
});

test("a service without a selector, or outside by name, has none", () => {
  assert.equal(policyServiceFrom({ metadata, spec: {} }).selector, undefined);
  assert.equal(policyServiceFrom({ metadata, spec: { selector: {} } }).selector, undefined);
  assert.equal(policyServiceFrom({ metadata, spec: { type: "ExternalName", selector: { app: "db" } } }).selector, undefined);
});

test("a slice gives its addresses to the service that it names", () => {
  const slice = {
    metadata: { name: "db-1", namespace: "shop", labels: { "kubernetes.io/service-name": "db" } },
    addressType: "IPv6",
    ports: [{ port: 5432, protocol: "TCP" }, { port: 53, protocol: "UDP" }, { port: 80 }],
    endpoints: [{ addresses: ["FD00::1", "fd00::1"] }, { addresses: ["db.example.com"] }, {}],
  };
  const expected = { namespace: "shop", name: "db-1", service: "db", addresses: ["fd00::1"], ports: [5432, 80] };
  assert.deepEqual(serviceSliceFrom(slice), expected);
});
