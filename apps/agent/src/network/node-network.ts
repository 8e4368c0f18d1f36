import type { Kernel } from "@cilium-ts/kernel";
import { type AddressBytes, formatAddress, type Prefix } from "@cilium-ts/net";
import { type Link, type Netlink, type Operation, throwFirstFailure } from "@cilium-ts/netlink";
import { ownRoute } from "./own-routes.ts";

/** The node's own end of the pods' network. */
export interface NodeNetworkOptions {
  readonly kernel: Kernel;
  readonly netlink: Netlink;
  readonly routerIPv4: AddressBytes;
  readonly routerIPv6: AddressBytes;
  readonly podPrefixes: readonly Prefix[];
  /** Of the router device: what fits through the tunnel, where there is one, because packets leave by it for the tunnel. */
  readonly mtu: number;
}

const hostDevice = "cilium_host";
const hostDevicePeer = "cilium_net";

/** Written where they differ; each with what breaks without it. */
const nodeSysctls: ReadonlyArray<readonly [string, string]> = [
  ["/proc/sys/net/ipv4/ip_forward", "1"], // The node routes for its pods.
  ["/proc/sys/net/ipv6/conf/all/forwarding", "1"],
  ["/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"],
  ["/proc/sys/net/ipv4/conf/all/rp_filter", "0"], // Replies may come in on another device than requests went out of.
];

/**
 * Makes the router device and what the pods' prefixes need. All of it may be there from an earlier run; nothing is taken away in
 * between, so traffic goes on.
 */
export async function applyNodeNetwork(
  options: NodeNetworkOptions,
): Promise<{ readonly hostDevice: number; readonly proxyDevice: number }> {
  const { kernel, netlink, mtu } = options;
  kernel.writeSysctls({ values: nodeSysctls });
  const host = await routerDevice(netlink);
  const proxyDevice = host.peerIndex;
  if (proxyDevice === undefined) throw new Error(`${hostDevice} is no veth pair: remove it, and the agent makes a new one`);
  kernel.writeSysctls({
    values: [
      [`/proc/sys/net/ipv4/conf/${hostDevice}/rp_filter`, "0"],
      // By it come packets for proxies, from wherever they were sent, the node itself included.
      [`/proc/sys/net/ipv4/conf/${hostDevicePeer}/rp_filter`, "0"],
      [`/proc/sys/net/ipv4/conf/${hostDevicePeer}/accept_local`, "1"],
    ],
  });
  const operations: Operation[] = [
    { kind: "link.set", link: hostDevicePeer, change: { up: true, mtu } },
    // Nobody is on its other side: whatever leaves by it is encapsulated, or is for us.
    { kind: "link.set", link: hostDevice, change: { up: true, arp: false, mtu } },
    { kind: "address.replace", address: { linkIndex: host.index, address: options.routerIPv4, prefixLength: 32, scope: "link" } },
    { kind: "address.replace", address: { linkIndex: host.index, address: options.routerIPv6, prefixLength: 128, noDad: true } },
    ...options.podPrefixes.map((destination): Operation => ({ kind: "route.replace", route: ownRoute(destination) })),
  ];
  throwFirstFailure(await netlink.batch(operations));
  await removeFormerRouters(netlink, host.index, [options.routerIPv4, options.routerIPv6]);
  return { hostDevice: host.index, proxyDevice };
}

/** Bytes that a VXLAN header, with UDP and IPv4 under it and Ethernet in it, takes of each packet. */
const tunnelOverheadBytes = 50;

/** What fits through the uplink: the smallest MTU of the node's own devices that are up. */
export async function findUplinkMtu(netlink: Netlink): Promise<number> {
  const links = (await netlink.links.list()).filter((link) => link.up && !link.loopback && !/^(lxc|cilium_)/.test(link.name));
  return links.length === 0 ? 1_500 : Math.min(...links.map((link) => link.mtu));
}

export interface PodMtu {
  /** Of pods' devices: they take whatever the uplink brings. */
  readonly device: number;
  /** Of pods' routes: what still fits when it is encapsulated. */
  readonly route: number;
}

export function podMtu(deviceMtu: number, mode: "tunnel" | "native"): PodMtu {
  return { device: deviceMtu, route: mode === "tunnel" ? deviceMtu - tunnelOverheadBytes : deviceMtu };
}

/** Where the node got other pod CIDRs than an earlier run had: others would take an address left behind for one of the node's own. */
async function removeFormerRouters(netlink: Netlink, linkIndex: number, routers: readonly AddressBytes[]): Promise<void> {
  const current = new Set(routers.map(formatAddress));
  for (const { address, prefixLength } of await netlink.addresses.list({ linkIndex })) {
    const isLinkLocal = address.length === 16 && address[0] === 0xfe;
    if (!isLinkLocal && !current.has(formatAddress(address))) await netlink.addresses.delete({ linkIndex, address, prefixLength });
  }
}

async function routerDevice(netlink: Netlink): Promise<Link> {
  const existing = await netlink.links.get(hostDevice);
  if (existing !== undefined) return existing;
  return netlink.links.createVeth({ name: hostDevice, peer: { name: hostDevicePeer } });
}

/** Addresses by which the node itself is reached: those of every device of its own. Pods' devices have only link-local ones. */
export async function nodeAddresses(netlink: Netlink): Promise<AddressBytes[]> {
  const rows = await netlink.addresses.list();
  const seen = new Map<string, AddressBytes>();
  for (const row of rows) {
    const loopback = row.address.length === 4 ? row.address[0] === 127 : formatAddress(row.address) === "::1";
    const linkLocal = row.address.length === 16 && row.address[0] === 0xfe && ((row.address[1] ?? 0) & 0xc0) === 0x80;
    if (!loopback && !linkLocal) seen.set(formatAddress(row.address), row.address);
  }
  return [...seen.values()];
}
