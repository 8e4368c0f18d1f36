import assert from "node:assert/strict";
import { test } from "node:test";
import { formatPrefix } from "@cilium-ts/net";
import type { Netlink } from "@cilium-ts/netlink";
import { FakeNetworks } from "@cilium-ts/netlink/testing";
import { applyProxyRoutes, removeProxyRoutes } from "./proxy-routes.ts";

async function stateOf(netlink: Netlink): Promise<{ rules: string[]; routes: string[] }> {
  const rules = (await netlink.rules.list()).filter(({ priority }) => priority === 9);
  const routes = await netlink.routes.list({ table: 2004 });
  return {
    rules: rules.map(({ family, mark, mask, table }) => `IPv${family} ${mark}/${mask} ${table}`).sort(),
    routes: routes.map(({ kind, destination }) => `${kind} ${formatPrefix(destination)}`).sort(),
  };
}

const wanted = { rules: ["IPv4 512/3840 2004", "IPv6 512/3840 2004"], routes: ["local 0.0.0.0/0", "local ::/0"] };

test("packets for proxies stay on the node, however often that is said", async () => {
  const netlink = new FakeNetworks().open();
  await applyProxyRoutes(netlink);
  assert.deepEqual(await stateOf(netlink), wanted);
  await applyProxyRoutes(netlink);
  assert.deepEqual(await stateOf(netlink), wanted);
});

test("another rule for their table goes, and those of others stay", async () => {
  const netlink = new FakeNetworks().open();
  await netlink.rules.add({ family: 4, priority: 9, mark: 0x300, mask: 0xf00, table: 2004 });
  await netlink.rules.add({ family: 4, priority: 9, mark: 0x300, mask: 0xf00, table: 100 });
  await applyProxyRoutes(netlink);
  assert.deepEqual((await stateOf(netlink)).rules, ["IPv4 512/3840 2004", "IPv4 768/3840 100", "IPv6 512/3840 2004"]);
});

test("a node without proxies keeps nothing of theirs, and all of others", async () => {
  const netlink = new FakeNetworks().open();
  await netlink.rules.add({ family: 6, priority: 9, mark: 0x300, mask: 0xf00, table: 100 });
  await applyProxyRoutes(netlink);
  await removeProxyRoutes(netlink);
  await removeProxyRoutes(netlink);
  assert.deepEqual(await stateOf(netlink), { rules: ["IPv6 768/3840 100"], routes: [] });
});
