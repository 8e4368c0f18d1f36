import assert from "node:assert/strict";
import { test } from "node:test";
import { cidrLabels, reservedPeers } from "@cilium-ts/identity";
import { parseCiliumClusterwideNetworkPolicy } from "@cilium-ts/kubernetes";
import { Labels } from "@cilium-ts/labels";
import { parsePrefix } from "@cilium-ts/net";
import { PolicyEngine } from "@cilium-ts/policy";
import { type LifelineFacts, lifelinesOf, Reach } from "./lifelines.ts";

const bastion = 16_777_300;
const facts: LifelineFacts = { apiServers: [], sshPorts: [], nodes: [] };

function reachUnder(spec: object | undefined): Reach {
  const engine = new PolicyEngine({ mode: "default", allowLocalhost: "auto", clusterName: "default", families: [4, 6] });
  for (const [id, labels] of reservedPeers()) engine.upsertIdentity(id, labels);
  const prefix = parsePrefix("10.1.0.0/16");
  assert.ok(prefix !== undefined);
  engine.upsertIdentity(bastion, cidrLabels(prefix, [4, 6]));
  if (spec !== undefined) {
    const { rules, problems } = parseCiliumClusterwideNetworkPolicy({ metadata: { name: "p" }, spec: { nodeSelector: {}, ...spec } });
    assert.deepEqual(problems, []);
    engine.upsertPolicy("p", rules);
  }
  return new Reach(engine.resolve({ labels: Labels.parse(["reserved:host"]) }));
}

/** What is cut of the lifelines that follow from the facts. */
function check(given: Partial<LifelineFacts>, spec: object | undefined, ...expected: string[]): void {
  const reach = reachUnder(spec);
  const cut = lifelinesOf({ ...facts, ...given }).filter((lifeline) => !reach.has(lifeline));
  assert.deepEqual(
    cut.map(({ what }) => what),
    expected,
  );
}

const ssh = { sshPorts: [{ port: 22, sessions: [] }] };
const onPort = (port: number, ...from: object[]) => ({
  ingress: from.map((peer) => ({ ...peer, toPorts: [{ ports: [{ port: `${port}`, protocol: "TCP" }] }] })),
});

test("without a policy nothing is cut", () => {
  check({ ...ssh, apiServers: [{ address: "10.0.0.1", port: 6443, isHere: false, identity: 7 }] }, undefined);
  check({ ...ssh }, { egress: [{ toEntities: ["none"] }] });
});

test("SSH may be left to some, but not to nobody who comes from outside", () => {
  check(ssh, onPort(22, { fromCIDR: ["10.1.0.0/16"] }));
  check(ssh, onPort(22, { fromEntities: ["remote-node"] }));
  check(ssh, onPort(22, { fromEndpoints: [{}] }), "SSH on port 22 for anybody");
  check(ssh, onPort(80, { fromEntities: ["world"] }), "SSH on port 22 for anybody");
});

test("who is connected shows from where people come", () => {
  const sessions = [
    { address: "10.1.0.7", identity: bastion },
    { address: "192.0.2.1", identity: 9 },
  ];
  check({ sshPorts: [{ port: 22, sessions }] }, onPort(22, { fromCIDR: ["10.1.0.0/16"] }), "the SSH session from 192.0.2.1 on port 22");
});

test("the API server is asked at each of its addresses, and one on this node by each of the others", () => {
  const elsewhere = { address: "fd00::1", port: 6443, isHere: false, identity: 7 };
  const here = { address: "10.0.0.2", port: 6443, isHere: true, identity: 1 };
  const toServer = { egress: [{ toEntities: ["kube-apiserver"], toPorts: [{ ports: [{ port: "443", protocol: "TCP" }] }] }] };
  check({ apiServers: [elsewhere] }, toServer, "the API server at [fd00::1]:6443");
  const what = "the API server on this node (10.0.0.2:6443) for other nodes (identity 6)";
  check({ apiServers: [here], nodes: [6, 6] }, onPort(22, { fromEntities: ["world"] }), what);
  check({ apiServers: [here], nodes: [6] }, onPort(6443, { fromEntities: ["remote-node"] }));
  check({ apiServers: [here], nodes: [] }, onPort(22, { fromEntities: ["world"] }));
});

test("what policy only audits cuts nothing", () => {
  const { rules } = parseCiliumClusterwideNetworkPolicy({
    metadata: { name: "p", annotations: { "policy.cilium.io/audit-mode": "enabled" } },
    spec: { nodeSelector: {}, ingress: [{ fromEntities: ["none"] }] },
  });
  const engine = new PolicyEngine({ mode: "default", allowLocalhost: "auto", clusterName: "default", families: [4, 6] });
  engine.upsertPolicy("p", rules);
  const reach = new Reach(engine.resolve({ labels: Labels.parse(["reserved:host"]) }));
  assert.deepEqual(
    lifelinesOf({ ...facts, ...ssh }).filter((lifeline) => !reach.has(lifeline)),
    [],
  );
});
