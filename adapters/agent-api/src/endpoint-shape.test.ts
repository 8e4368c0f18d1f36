import assert from "node:assert/strict";
import { test } from "node:test";
import { changeEndpoint, createEndpoint, type EndpointRow, type EndpointState, endpointStates } from "@cilium-ts/endpoint";
import { endpointHealthShape, endpointLogShape, endpointShape } from "./endpoint-shape.ts";

const row: EndpointRow = createEndpoint(
  {
    id: 7,
    containerId: "c1",
    containerIfname: "eth0",
    podNamespace: "shop",
    podName: "web",
    ifindex: 12,
    hostDeviceName: "lxc12ab",
    mac: "02:00:00:00:00:01",
    hostMac: "02:00:00:00:00:02",
    ipv4: "10.0.0.5",
  },
  0,
);

test("an endpoint is shown with its names, addresses, identity and policy", () => {
  const labels = ["k8s:app=web"];
  const enforced = changeEndpoint(row, { identity: 300, labels, policyRevision: 4, ingressEnforced: true });
  const { id, status } = endpointShape(enforced, {
    hostAddressing: { ipv4: { enabled: true, ip: "10.0.0.1" } },
    policy: { "allowed-ingress-identities": [1] },
  });
  assert.equal(id, 7);
  assert.deepEqual(status?.["external-identifiers"], {
    "cni-attachment-id": "c1:eth0",
    "container-id": "c1",
    "k8s-namespace": "shop",
    "k8s-pod-name": "web",
    "pod-name": "shop/web",
  });
  assert.deepEqual(status?.identity, { id: 300, labels });
  assert.deepEqual(status?.networking, {
    addressing: [{ ipv4: "10.0.0.5" }],
    "host-addressing": { ipv4: { enabled: true, ip: "10.0.0.1" } },
    mac: "02:00:00:00:00:01",
    "host-mac": "02:00:00:00:00:02",
    "interface-name": "lxc12ab",
    "interface-index": 12,
    "container-interface-name": "eth0",
  });
  assert.deepEqual(status?.policy?.realized, {
    "allowed-ingress-identities": [1],
    id: 300,
    "policy-revision": 4,
    "policy-enabled": "ingress",
  });
});

test("an endpoint whose identity is not known yet is shown without one", () => {
  assert.equal(endpointShape(row, { hostAddressing: {} }).status?.identity, undefined);
});

const enforcement: [ingress: boolean, egress: boolean, shown: string][] = [
  [false, false, "none"],
  [true, false, "ingress"],
  [false, true, "egress"],
  [true, true, "both"],
];

for (const [ingressEnforced, egressEnforced, shown] of enforcement) {
  test(`enforcement of ingress ${ingressEnforced} and egress ${egressEnforced} is shown as ${shown}`, () => {
    const { status } = endpointShape(changeEndpoint(row, { ingressEnforced, egressEnforced }), { hostAddressing: {} });
    assert.equal(status?.policy?.spec?.["policy-enabled"], shown);
  });
}

test("the log is shown with the newest first", () => {
  const log = [...row.log, { atMs: 1000, code: "failed" as const, state: "not-ready" as const, message: "map is full" }];
  assert.deepEqual(endpointLogShape({ ...row, log }), [
    { timestamp: "1970-01-01T00:00:01.000Z", code: "failed", state: "not-ready", message: "map is full" },
    { timestamp: "1970-01-01T00:00:00.000Z", code: "ok", state: "waiting-for-identity", message: "created" },
  ]);
});

test("every state has a health, and only ready is well", () => {
  const well = endpointStates.filter((state: EndpointState) => endpointHealthShape({ ...row, state }).overallHealth === "OK");
  assert.deepEqual(well, ["ready"]);
  assert.equal(endpointHealthShape({ ...row, state: "disconnecting" }).connected, false);
});
