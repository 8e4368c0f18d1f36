import assert from "node:assert/strict";
import { test } from "node:test";
import { reservedIdentities } from "@cilium-ts/identity";
import type { CiliumNode } from "@cilium-ts/kubernetes";
import { NodeIdentities, type NodeIdentitiesOptions } from "./node-identities.ts";

const firstId = 0x0200_0001;

function node(name: string, zone: string, ...addresses: readonly string[]): CiliumNode {
  const own = addresses.map((ip) => ({ type: "InternalIP", ip }));
  return { name, labels: { zone }, addresses: own, podCIDRs: [], healthIPv4: "", healthIPv6: "", bootId: "" } as unknown as CiliumNode;
}

function open(options: Partial<NodeIdentitiesOptions>): { identities: NodeIdentities; told: string[] } {
  const told: string[] = [];
  const identities = new NodeIdentities({
    ...{ byLabels: false, byAddresses: false, formerIdentity: () => undefined, onProblem: (message) => void told.push(message) },
    onIdentity: (id, labels) => void told.push(`${id} ${labels ?? "gone"}`),
    ...options,
  });
  return { identities, told };
}

test("nodes are one identity where nobody tells them apart", () => {
  const { identities, told } = open({});
  assert.equal(identities.acquire("192.0.2.1/32", node("a", "x")), reservedIdentities.remoteNode);
  assert.deepEqual(told, []);
});

test("nodes with the same labels share an identity, which comes before the first address and goes after the last", () => {
  const { identities, told } = open({ byLabels: true });
  const first = identities.acquire("192.0.2.1/32", node("a", "x"));
  assert.deepEqual([first, identities.acquire("192.0.2.2/32", node("b", "x"))], [firstId, firstId]);
  assert.equal(identities.acquire("192.0.2.2/32", node("b", "y")), firstId + 1, "its labels are others now");
  identities.release("192.0.2.1/32");
  assert.deepEqual(told, [
    `${firstId} node:zone=x,reserved:remote-node`,
    `${firstId + 1} node:zone=y,reserved:remote-node`,
    `${firstId} gone`,
  ]);
});

test("where CIDRs mean nodes, every address has its own identity, and this node is at all of its own", () => {
  const { identities, told } = open({ byAddresses: true });
  identities.acquire("192.0.2.1/32", node("a", "x"));
  identities.acquire("2001:db8::1/128", node("a", "x"));
  identities.setLocal(node("here", "x", "192.0.2.9", "2001:db8::9"));
  assert.deepEqual(told, [
    `${firstId} cidr:192.0.2.1/32,reserved:remote-node`,
    `${firstId + 1} cidr:2001-db8--1/128,reserved:remote-node`,
    "1 cidr:192.0.2.9/32,cidr:2001-db8--9/128,reserved:host",
  ]);
});

test("after a restart an address has its number again, which entries in the kernel still mean", () => {
  const { identities } = open({ byAddresses: true, formerIdentity: () => firstId + 7 });
  assert.equal(identities.acquire("192.0.2.1/32", node("a", "x")), firstId + 7);
  assert.equal(identities.acquire("192.0.2.2/32", node("b", "x")), firstId, "another may not have the same");
});
