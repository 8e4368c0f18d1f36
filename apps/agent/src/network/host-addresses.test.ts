import assert from "node:assert/strict";
import { test } from "node:test";
import { type AddressBytes, parseAddress } from "@cilium-ts/net";
import { openFakeNetlink } from "@cilium-ts/netlink/testing";
import { eventually } from "@cilium-ts/testing";
import { EndpointsWorld, TestEndpoints } from "../endpoints/endpoints-world.ts";
import { HostAddresses } from "./host-addresses.ts";

const bytes = (text: string): AddressBytes => parseAddress(text) ?? new Uint8Array(4);

test("the node's addresses are the host's, as they come and go", async () => {
  using world = new EndpointsWorld();
  const { datapath, ipcache, kernel } = new TestEndpoints(world);
  await using netlink = openFakeNetlink();
  const link = await netlink.links.createVeth({ name: "eth0", peer: { name: "peer" } });
  const add = (text: string): Promise<void> =>
    netlink.addresses.add({ linkIndex: link.index, address: bytes(text), prefixLength: text.includes(":") ? 64 : 24 });
  for (const text of ["192.0.2.1", "2001:db8::1", "127.0.0.9", "fe80::7", "10.0.1.1"]) await add(text);
  const changes: string[] = [];
  const addresses: HostAddresses = new HostAddresses({
    netlink,
    rows: datapath.endpoints,
    ipcache,
    routers: [bytes("10.0.1.1")],
    onChange: () => changes.push(addresses.underlay().sort().join()),
  });
  kernel.failNext({ operation: "update", code: "EIO" });
  await assert.rejects(addresses.refresh(), /EIO/);
  await addresses.refresh();
  assert.deepEqual(changes, ["192.0.2.1,2001:db8::1"], "neither loopback, nor link-local, nor the pods' gateway");
  assert.equal(addresses.primary(), "192.0.2.1");
  assert.equal(datapath.maps.local_addresses.dump().count, 3);
  const stop = new AbortController();
  const following = addresses.follow(stop.signal);
  await add("192.0.2.9");
  await eventually(() => assert.equal(ipcache.identityOf(bytes("192.0.2.9")), 1));
  await netlink.addresses.delete({ linkIndex: link.index, address: bytes("192.0.2.1"), prefixLength: 24 });
  await eventually(() => assert.equal(ipcache.identityOf(bytes("192.0.2.1")), 0));
  assert.equal(datapath.maps.local_addresses.dump().count, 3);
  assert.equal(addresses.primary(), "192.0.2.9");
  stop.abort();
  await following;
});
