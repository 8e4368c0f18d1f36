import assert from "node:assert/strict";
import { test } from "node:test";
import { LocalIdentityAllocator } from "@cilium-ts/identity";
import { ApiServerAddresses } from "./api-server-addresses.ts";

function setUp() {
  const rows = new Map<string, number>();
  const labels = new Map<number, string>();
  const places = new Map<string, "host" | "remote-node">();
  const localIdentities = new LocalIdentityAllocator({ families: [4, 6] });
  const addresses = new ApiServerAddresses({
    ipcache: {
      upsert: (prefix, _source, identity) => void rows.set(String(prefix), identity),
      remove: (prefix) => void rows.delete(String(prefix)),
    },
    localIdentities,
    onIdentity: (id, found) => (found === undefined ? labels.delete(id) : labels.set(id, found.format().join(" "))),
    onProblem: assert.fail,
    placeOf: (address) => places.get(address) ?? "outside",
  });
  return { rows, labels, places, localIdentities, addresses };
}

const at = (addresses: string[]) => ({ addresses, ports: [6443] });

test("an API server outside of the cluster has an identity of this node, with the labels of its CIDR", () => {
  const { rows, labels, addresses, localIdentities } = setUp();
  addresses.setSlice("kubernetes", at(["192.0.2.1", "2001:DB8::1", "no address"]));
  assert.deepEqual(Object.fromEntries(rows), { "192.0.2.1/32": 16_777_217, "2001:db8::1/128": 16_777_218 });
  assert.equal(labels.get(16_777_217), "cidr:192.0.2.1/32 reserved:kube-apiserver reserved:world-ipv4");
  addresses.setSlice("kubernetes", at(["2001:db8::1"]));
  assert.deepEqual(addresses.servers(), [{ address: "2001:db8::1", port: 6443 }]);
  assert.deepEqual([[...rows.keys()], [...labels.keys()], localIdentities.size], [["2001:db8::1/128"], [16_777_218], 1]);
  addresses.setSlice("kubernetes", undefined);
  assert.deepEqual([rows.size, labels.size, localIdentities.size], [0, 0, 0]);
});

test("an identity that policies use too only loses the label", () => {
  const { labels, addresses, localIdentities } = setUp();
  localIdentities.acquire("192.0.2.1/32");
  addresses.setSlice("kubernetes", at(["192.0.2.1"]));
  localIdentities.acquire("192.0.2.1/32");
  assert.equal(localIdentities.ofPrefix("192.0.2.1/32")?.labels.format().includes("reserved:kube-apiserver"), true);
  addresses.setSlice("kubernetes", at([]));
  assert.equal(labels.get(16_777_217), "cidr:192.0.2.1/32 reserved:world-ipv4");
  assert.equal(localIdentities.size, 1);
});

test("on a node it is that node, and follows what is known of nodes", () => {
  const { rows, labels, places, addresses } = setUp();
  addresses.setSlice("kubernetes", at(["192.0.2.1"]));
  places.set("192.0.2.1", "remote-node");
  addresses.refresh();
  assert.deepEqual([Object.fromEntries(rows), labels.size], [{ "192.0.2.1/32": 7 }, 0]);
  places.set("192.0.2.1", "host");
  addresses.refresh();
  assert.deepEqual([rows.size, labels.get(1)], [0, "reserved:host reserved:kube-apiserver"]);
  addresses.setSlice("kubernetes", undefined);
  assert.equal(labels.get(1), "reserved:host");
});
