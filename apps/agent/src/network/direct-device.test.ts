import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress, parsePrefix } from "@cilium-ts/net";
import type { Netlink } from "@cilium-ts/netlink";
import { FakeNetworks } from "@cilium-ts/netlink/testing";
import { findDirectDevice } from "./direct-device.ts";

async function nodeWith(devices: readonly string[]): Promise<{ netlink: Netlink; index: (name: string) => Promise<number> }> {
  const netlink = new FakeNetworks().open();
  for (const name of devices) {
    await netlink.links.createBridge({ name });
    await netlink.links.set(name, { up: true });
  }
  return { netlink, index: async (name) => (await netlink.links.get(name))?.index ?? -1 };
}

async function defaultRoute(netlink: Netlink, linkIndex: number, family: 4 | 6, metric: number): Promise<void> {
  const destination = parsePrefix(family === 4 ? "0.0.0.0/0" : "::/0");
  const gateway = parseAddress(family === 4 ? "192.0.2.1" : "2001:db8::1");
  assert.ok(destination !== undefined && gateway !== undefined);
  await netlink.routes.add({ destination, gateway, linkIndex, metric, onlink: true });
}

test("the device of the default route leads to other nodes, the best of IPv4 first", async () => {
  const { netlink, index } = await nodeWith(["eth0", "eth1", "eth2", "cilium_host"]);
  await defaultRoute(netlink, await index("eth2"), 6, 1);
  assert.equal(await findDirectDevice(netlink, ""), await index("eth2"));
  await defaultRoute(netlink, await index("eth0"), 4, 200);
  await defaultRoute(netlink, await index("eth1"), 4, 100);
  assert.equal(await findDirectDevice(netlink, ""), await index("eth1"));
});

test("without a default route the only uplink is it; of several, none is", async () => {
  const one = await nodeWith(["lxc0123", "eth0"]);
  assert.equal(await findDirectDevice(one.netlink, ""), await one.index("eth0"));
  const two = await nodeWith(["eth0", "eth1"]);
  assert.equal(await findDirectDevice(two.netlink, ""), 0);
});

test("the device that was named is it, and has to be there", async () => {
  const { netlink, index } = await nodeWith(["eth0", "eth1"]);
  assert.equal(await findDirectDevice(netlink, "eth1"), await index("eth1"));
  await assert.rejects(findDirectDevice(netlink, "eth7"), /the node has no device "eth7"; leave it empty/);
});
