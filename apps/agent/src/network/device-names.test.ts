import assert from "node:assert/strict";
import { test } from "node:test";
import { openFakeNetlink } from "@cilium-ts/netlink/testing";
import { eventually } from "@cilium-ts/testing";
import { DeviceNames } from "./device-names.ts";

test("devices are known by their index, those that come later too, and the name of one that went lasts", async () => {
  await using netlink = openFakeNetlink();
  const first = await netlink.links.createBridge({ name: "eth0" });
  const names = new DeviceNames(netlink);
  const stop = new AbortController();
  const following = names.follow(stop.signal);
  await eventually(() => assert.equal(names.nameOf(first.index), "eth0"));
  const second = await netlink.links.createBridge({ name: "eth1" });
  await eventually(() => assert.equal(names.nameOf(second.index), "eth1"));
  await netlink.links.delete(second.index);
  assert.equal(names.nameOf(second.index), "eth1");
  assert.equal(names.nameOf(999), undefined);
  for (let count = 0; count < 1_100; count += 1) {
    const { index } = await netlink.links.createBridge({ name: `br${count}` });
    await netlink.links.delete(index);
  }
  await eventually(() => assert.equal(names.nameOf(second.index), undefined));
  stop.abort();
  await following;
});
