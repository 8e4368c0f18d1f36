import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { openKernel } from "@cilium-ts/kernel";
import { formatAddress, formatMac, formatPrefix } from "@cilium-ts/net";
import { requireKernel } from "@cilium-ts/testing";
import { address, hostMac, podMac, prefix } from "./contract-suite.ts";
import { openNetlink } from "./open-netlink.ts";
import { type Operation, throwFirstFailure } from "./operation.ts";
import { openRealWorld } from "./real-world.ts";

type Json = Record<string, unknown>;

/** What `ip -json` says, in the namespace. */
function ip(namespace: string, ...words: string[]): Json[] {
  return JSON.parse(execFileSync("ip", ["-n", namespace, "-json", "-details", ...words], { encoding: "utf8" }) || "[]");
}

const addresses = { four: "10.0.1.7", six: "fd00::1:7" } as const;
const gateways = { four: "10.0.0.1", six: "fd00::1" } as const;

function podOperations(eth0: number): Operation[] {
  const add = (text: string, prefixLength: number): Operation => ({
    kind: "address.add",
    address: { linkIndex: eth0, address: address(text), prefixLength, noDad: true },
  });
  const operations: Operation[] = [
    { kind: "link.set", link: "lo", change: { up: true } },
    { kind: "link.set", link: eth0, change: { up: true } },
    add(addresses.four, 32),
    add(addresses.six, 128),
  ];
  for (const [gateway, everything] of [
    [gateways.four, "0.0.0.0/0"],
    [gateways.six, "::/0"],
  ] as const) {
    operations.push(
      { kind: "route.add", route: { destination: prefix(gateway), linkIndex: eth0 } },
      { kind: "route.add", route: { destination: prefix(everything), gateway: address(gateway), linkIndex: eth0, mtu: 1450 } },
      { kind: "neighbour.replace", neighbour: { linkIndex: eth0, address: address(gateway), mac: hostMac } },
    );
  }
  return operations;
}

function hostOperations(lxc: number): Operation[] {
  const operations: Operation[] = [{ kind: "link.set", link: lxc, change: { up: true } }];
  for (const text of Object.values(addresses)) {
    operations.push(
      { kind: "route.add", route: { destination: prefix(text), linkIndex: lxc } },
      { kind: "neighbour.replace", neighbour: { linkIndex: lxc, address: address(text), mac: podMac } },
    );
  }
  return operations;
}

test("a pod is plumbed in two rounds, and `ip` sees what netlink lists", { skip: requireKernel(), timeout: 20_000 }, async () => {
  using world = openRealWorld();
  const peer = { name: "eth0", mac: podMac, mtu: 1500, namespacePath: world.podPath };
  const lxc = await world.host.links.createVeth({ name: "lxc1", mac: hostMac, mtu: 1500, peer });
  assert.ok(lxc.peerIndex !== undefined);
  using pod = world.openPod();
  const [onHost, inPod] = await Promise.all([world.host.batch(hostOperations(lxc.index)), pod.batch(podOperations(lxc.peerIndex))]);
  throwFirstFailure([...onHost, ...inPod]);

  for (const [netlink, namespace] of [
    [world.host, world.hostName],
    [pod, world.podName],
  ] as const) {
    assert.deepEqual(
      (await netlink.links.list()).map((link) => [link.index, link.name, formatMac(link.mac), link.mtu, link.kind, link.running]),
      ip(namespace, "link").map((link) => {
        const kind = (link.linkinfo as Json | undefined)?.info_kind ?? "";
        return [link.ifindex, link.ifname, link.address, link.mtu, kind, (link.flags as string[]).includes("LOWER_UP")];
      }),
    );
    assert.deepEqual(
      (await netlink.addresses.list()).map((row) => `${row.linkIndex} ${formatAddress(row.address)}/${row.prefixLength}`).sort(),
      ip(namespace, "addr")
        .flatMap((link) => (link.addr_info as Json[]).map((row) => `${link.ifindex} ${row.local}/${row.prefixlen}`))
        .sort(),
    );
    const names = new Map((await netlink.links.list()).map((link) => [link.index, link.name]));
    for (const family of [4, 6] as const) {
      const whole = family === 4 ? "/32" : "/128";
      assert.deepEqual(
        (await netlink.routes.list({ family, table: 254 }))
          .map(({ destination, gateway, linkIndex, metric, mtu }) => {
            const to = destination.length === 0 ? "default" : formatPrefix(destination).replace(new RegExp(`${whole}$`), "");
            return [to, gateway && formatAddress(gateway), linkIndex && names.get(linkIndex), metric, mtu].join(" ");
          })
          .sort(),
        ip(namespace, `-${family}`, "route")
          .map((route) =>
            [route.dst, route.gateway, route.dev, route.metric ?? 0, (route.metrics as Json[] | undefined)?.[0]?.mtu].join(" "),
          )
          .sort(),
      );
    }
    assert.deepEqual(
      (await netlink.neighbours.list())
        .filter(({ state }) => state === "permanent")
        .map((row) => `${formatAddress(row.address)} ${row.mac && formatMac(row.mac)}`)
        .sort(),
      ip(namespace, "neigh", "show", "nud", "permanent")
        .map((row) => `${row.dst} ${row.lladdr}`)
        .sort(),
    );
  }
});

test("the kernel's own words are in the message", { skip: requireKernel(), timeout: 20_000 }, async () => {
  using world = openRealWorld();
  const bridge = await world.host.links.createBridge({ name: "br0", up: true });
  const route = { destination: prefix("10.0.0.0/8"), gateway: address("1.2.3.4"), linkIndex: bridge.index };
  await assert.rejects(world.host.routes.add(route), {
    name: "NetlinkError",
    operation: "route.add",
    message: "route 10.0.0.0/8: its gateway cannot be reached through that link (ENETUNREACH): Nexthop has invalid gateway",
  });
});

test("a namespace that is not there is named", { skip: requireKernel() }, () => {
  assert.throws(() => openNetlink(openKernel(), { namespacePath: "/run/netns/nowhere" }), /namespace \/run\/netns\/nowhere.*ENOENT/);
});
