import assert from "node:assert/strict";
import { test } from "node:test";
import { openFakeKernel } from "@cilium-ts/kernel/testing";
import { type AddressBytes, formatPrefix, type Prefix, parseAddress, parsePrefix } from "@cilium-ts/net";
import { FakeNetworks } from "@cilium-ts/netlink/testing";
import { connectPod } from "./pod-network.ts";

const namespacePath = "/run/netns/pod";

function address(text: string): AddressBytes {
  const bytes = parseAddress(text);
  assert.ok(bytes !== undefined);
  return bytes;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  assert.ok(parsed !== undefined);
  return parsed;
}

/** The pod's routes with a gateway, as `destination mtu`. */
async function routesOfPod(mtu: number, routeMtu: number): Promise<string[]> {
  const networks = new FakeNetworks();
  networks.createNamespace(namespacePath);
  const world = {
    kernel: openFakeKernel(),
    netlink: networks.open(),
    openNetlink: (given: { namespacePath: string }) => networks.open(given),
  };
  // Routes to pods name the router's address as their source, so the node must have it.
  const host = await world.netlink.links.createBridge({ name: "cilium_host", up: true });
  for (const [text, prefixLength] of [
    ["10.0.1.1", 32],
    ["fd00:1::1", 128],
  ] as const) {
    await world.netlink.addresses.add({ linkIndex: host.index, address: address(text), prefixLength });
  }
  await connectPod(world, {
    namespacePath,
    interfaceName: "eth0",
    hostDevice: "lxc0",
    mac: Uint8Array.of(2, 0, 0, 0, 0, 1),
    hostMac: Uint8Array.of(2, 0, 0, 0, 0, 2),
    mtu,
    routeMtu,
    podPrefixes: [prefix("10.0.1.0/24"), prefix("fd00:1::/112")],
    ipv4: address("10.0.1.7"),
    ipv6: address("fd00:1::7"),
    routerIPv4: address("10.0.1.1"),
    routerIPv6: address("fd00:1::1"),
  });
  await using inside = networks.open({ namespacePath });
  const routes = (await inside.routes.list()).filter(({ gateway }) => gateway !== undefined);
  return routes.map(({ destination, mtu: limit }) => `${formatPrefix(destination)} ${limit ?? "device"}`).sort();
}

test("behind a tunnel, only what leaves the node is kept small", async () => {
  assert.deepEqual(await routesOfPod(1_500, 1_450), ["0.0.0.0/0 1450", "10.0.1.0/24 device", "::/0 1450", "fd00:1::/112 device"]);
});

test("without a tunnel the default routes are enough", async () => {
  assert.deepEqual(await routesOfPod(1_500, 1_500), ["0.0.0.0/0 1500", "::/0 1500"]);
});
