import assert from "node:assert/strict";
import { test } from "node:test";
import type { CiliumNode, KubernetesObject } from "@cilium-ts/kubernetes";
import { formatPrefix, type Prefix } from "@cilium-ts/net";
import type { IpcacheTable } from "../ipcache-table.ts";
import { NodeIdentities } from "./node-identities.ts";
import { RemoteEndpoints } from "./remote-endpoints.ts";
import { RemoteNodes, type RoutingMode } from "./remote-nodes.ts";

/** Only what it is told: `prefix` to `identity via tunnel`. */
function recordingIpcache(): { rows: Map<string, string>; ipcache: IpcacheTable } {
  const rows = new Map<string, string>();
  const text = (prefix: string | Prefix): string => (typeof prefix === "string" ? prefix : formatPrefix(prefix));
  const ipcache = {
    upsert: (prefix: string | Prefix, _source: string, identity: number, tunnel?: string) =>
      rows.set(text(prefix), `${identity}${tunnel === undefined ? "" : ` via ${tunnel}`}`),
    remove: (prefix: string | Prefix) => rows.delete(text(prefix)),
  };
  return { rows, ipcache: ipcache as unknown as IpcacheTable };
}

function node(name: string, internal: string[], routers: string[], podCIDRs: string[]): CiliumNode {
  const addresses = [...internal.map((ip) => ({ type: "InternalIP", ip })), ...routers.map((ip) => ({ type: "CiliumInternalIP", ip }))];
  return { name, labels: {}, addresses, podCIDRs, healthIPv4: "", healthIPv6: "", bootId: "" };
}

function open(mode: RoutingMode): { rows: Map<string, string>; nodes: RemoteNodes; endpoints: RemoteEndpoints } {
  const { rows, ipcache } = recordingIpcache();
  const identities = new NodeIdentities({ byLabels: false, byAddresses: false, formerIdentity: () => 0, onIdentity() {}, onProblem() {} });
  const nodes = new RemoteNodes({ ipcache, localName: "here", mode, identities });
  return { rows, nodes, endpoints: new RemoteEndpoints({ ipcache, tunnelEndpointOf: (address) => nodes.tunnelEndpointOf(address) }) };
}

const there = node("there", ["192.0.2.2", "2001:db8::2"], ["10.0.2.1", "fd00:2::1"], ["10.0.2.0/24", "fd00:2::/112"]);

function endpoint(name: string, ipv4: string, identity: number, nodeAddress: string): KubernetesObject {
  return {
    metadata: { namespace: "default", name },
    status: { identity: { id: identity }, networking: { addressing: [{ ipv4 }], node: nodeAddress } },
  };
}

test("another node's addresses are those of a remote node, its router is behind the tunnel", () => {
  const { rows, nodes } = open("tunnel");
  nodes.upsert(there);
  assert.deepEqual(Object.fromEntries(rows), {
    "192.0.2.2/32": "6",
    "2001:db8::2/128": "6",
    "10.0.2.1/32": "6 via 192.0.2.2",
    "fd00:2::1/128": "6 via 192.0.2.2",
    "10.0.2.0/24": "9 via 192.0.2.2",
    "fd00:2::/112": "10 via 192.0.2.2",
  });
  nodes.remove("there");
  assert.equal(rows.size, 0);
  assert.equal([...nodes.routes.keys()].length, 0);
});

test("what passed from one node to another stays with the one heard of last, however late the first one goes", () => {
  const { rows, nodes } = open("tunnel");
  const heir = { ...there, name: "heir", addresses: there.addresses.filter(({ type }) => type === "CiliumInternalIP") };
  const addresses = [...heir.addresses, { type: "InternalIP", ip: "192.0.2.3" }];
  nodes.upsert(there);
  nodes.upsert({ ...heir, addresses });
  nodes.upsert({ ...there, labels: { changed: "yes" } });
  assert.equal(rows.get("10.0.2.1/32"), "6 via 192.0.2.3");
  assert.equal(nodes.routes.get("10.0.2.0/24")?.nodeName, "heir");
  nodes.remove("there");
  assert.equal(rows.get("10.0.2.1/32"), "6 via 192.0.2.3");
  assert.equal(nodes.routes.get("10.0.2.0/24")?.nodeName, "heir");
  nodes.upsert(there);
  nodes.remove("there");
  assert.equal(rows.get("10.0.2.1/32"), "6 via 192.0.2.3", "and so when the first comes back for a moment");
  nodes.remove("heir");
  assert.deepEqual([rows.size, [...nodes.routes.keys()].length], [0, 0]);
});

test("pods of other nodes are found by their names and addresses, until they go", () => {
  const { endpoints } = open("tunnel");
  endpoints.upsert(endpoint("web", "10.0.2.7", 1002, "192.0.2.2"));
  assert.equal(endpoints.identityOf("default", "web"), 1002);
  assert.deepEqual(endpoints.ownerOf("10.0.2.7/32"), { namespace: "default", name: "web", nodeAddress: "192.0.2.2" });
  endpoints.remove({ namespace: "default", name: "web", uid: "" });
  assert.equal(endpoints.identityOf("default", "web"), undefined);
  assert.equal(endpoints.ownerOf("10.0.2.7/32"), undefined);
});

test("this node is none of the others", () => {
  const { rows, nodes } = open("tunnel");
  nodes.upsert({ ...there, name: "here" });
  assert.equal(rows.size, 0);
  assert.equal(nodes.count, 0);
});

test("routes lead to the node's address of the same family, and follow it", () => {
  const { nodes } = open("native");
  nodes.upsert(there);
  const gateways = (): unknown => Object.fromEntries([...nodes.routes.rows()].map((row) => [row.destination, row.gateway]));
  assert.deepEqual(gateways(), { "10.0.2.0/24": "192.0.2.2", "fd00:2::/112": "2001:db8::2" });
  nodes.upsert(node("there", ["192.0.2.9"], [], ["10.0.2.0/24"]));
  assert.deepEqual(gateways(), { "10.0.2.0/24": "192.0.2.9" });
});

test("a range that has moved to another node stays there when the former owner goes", () => {
  const { nodes } = open("native");
  nodes.upsert(there);
  nodes.upsert(node("other", ["192.0.2.3"], [], ["10.0.2.0/24"]));
  nodes.remove("there");
  assert.equal(nodes.routes.get("10.0.2.0/24")?.gateway, "192.0.2.3");
});

test("a range that has moved to another node is behind its tunnel, whoever says so first", () => {
  for (const lateFirst of [true, false]) {
    const { rows, nodes } = open("tunnel");
    const late = node("late", ["192.0.2.3"], [], ["10.0.2.0/24"]);
    for (const one of lateFirst ? [late, there] : [there, late]) nodes.upsert(one);
    nodes.remove("there");
    assert.deepEqual(Object.fromEntries(rows), { "192.0.2.3/32": "6", "10.0.2.0/24": "9 via 192.0.2.3" });
  }
});

test("a pod of another node is known by its object, and found through the tunnel once the node is known", () => {
  const { rows, nodes, endpoints } = open("tunnel");
  endpoints.upsert(endpoint("a", "10.0.2.7", 1234, "192.0.2.2"));
  assert.equal(rows.get("10.0.2.7/32"), "1234");
  endpoints.refresh(nodes.upsert(there));
  assert.equal(rows.get("10.0.2.7/32"), "1234 via 192.0.2.2");
  assert.deepEqual(nodes.upsert({ ...there, labels: { changed: "yes" } }), [], "labels change no tunnel");
  const moved = there.addresses.map(({ type, ip }) => ({ type, ip: ip === "192.0.2.2" ? "192.0.2.9" : ip }));
  endpoints.refresh(nodes.upsert({ ...there, addresses: moved }));
  assert.equal(rows.get("10.0.2.7/32"), "1234", "its object names an address that nobody has any more");
  endpoints.refresh(nodes.upsert(there));
  assert.equal(rows.get("10.0.2.7/32"), "1234 via 192.0.2.2");
  endpoints.remove({ namespace: "default", name: "a", uid: "" });
  assert.equal(rows.has("10.0.2.7/32"), false);
});

test("an address that passed to another pod is not taken away with the former pod's object", () => {
  const { rows, endpoints } = open("native");
  endpoints.upsert(endpoint("old", "10.0.2.7", 1, "192.0.2.2"));
  endpoints.upsert(endpoint("new", "10.0.2.7", 2, "192.0.2.2"));
  endpoints.remove({ namespace: "default", name: "old", uid: "" });
  assert.equal(rows.get("10.0.2.7/32"), "2");
});

test("an object that says nothing yet, or nothing any more, claims nothing", () => {
  const { rows, endpoints } = open("native");
  endpoints.upsert({ metadata: { namespace: "default", name: "a" } });
  endpoints.upsert(endpoint("a", "10.0.2.7", 5, ""));
  endpoints.upsert({ metadata: { namespace: "default", name: "a" }, status: {} });
  assert.equal(rows.size, 0);
});
