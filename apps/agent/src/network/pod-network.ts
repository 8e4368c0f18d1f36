import { createHash, randomBytes } from "node:crypto";
import { type Kernel, KernelError } from "@cilium-ts/kernel";
import { type AddressBytes, type Prefix, parsePrefix } from "@cilium-ts/net";
import { type Netlink, type Operation, throwFirstFailure } from "@cilium-ts/netlink";
import { CniError, cniErrorCode } from "../cni/cni-request.ts";

export interface PodNetworkRequest {
  readonly namespacePath: string;
  /** What the pod calls its device: `eth0`. */
  readonly interfaceName: string;
  readonly hostDevice: string;
  readonly mac: Uint8Array;
  readonly hostMac: Uint8Array;
  /** Of the device. */
  readonly mtu: number;
  /** Of the routes: what fits through the tunnel, where there is one. Packets from the node's own network may be as large as the device takes. */
  readonly routeMtu: number;
  /** The node's own pods, one prefix of each family: never behind the tunnel. */
  readonly podPrefixes: readonly Prefix[];
  readonly ipv4: AddressBytes;
  readonly ipv6: AddressBytes;
  readonly routerIPv4: AddressBytes;
  readonly routerIPv6: AddressBytes;
}

export interface PodNetworkWorld {
  readonly kernel: Kernel;
  /** Of the node. */
  readonly netlink: Netlink;
  openNetlink(options: { readonly namespacePath: string }): Netlink;
}

export interface PodNetwork {
  /** Of the host side. */
  readonly ifindex: number;
}

/** `lxc` and 12 characters that follow from the attachment, so that a repeated call finds what an earlier one made. */
export function hostDeviceName(attachmentId: string): string {
  return `lxc${createHash("sha256").update(attachmentId).digest("hex").slice(0, 12)}`;
}

/** Whether a device of that name is the node's side of a pod. */
export function isPodDevice(name: string): boolean {
  return /^lxc[0-9a-f]{12}$/.test(name);
}

/** Locally administered, unicast. */
export function randomMac(): Uint8Array {
  const mac = randomBytes(6);
  mac[0] = ((mac[0] ?? 0) & 0xfc) | 0x02;
  return mac;
}

/**
 * Connects a pod: a veth pair whose other end is born in the pod's namespace with its name, addresses and routes there, and the
 * node's routes to it. A failure part-way leaves nothing.
 */
export async function connectPod({ kernel, netlink, openNetlink }: PodNetworkWorld, request: PodNetworkRequest): Promise<PodNetwork> {
  checkNamespace(kernel, request.namespacePath);
  await disconnectPod(netlink, request.hostDevice); // What a call that was cut short left.
  const link = await netlink.links.createVeth({
    name: request.hostDevice,
    mac: request.hostMac,
    mtu: request.mtu,
    peer: { name: request.interfaceName, mac: request.mac, mtu: request.mtu, namespacePath: request.namespacePath },
  });
  try {
    kernel.writeSysctls({ values: hostSysctls(request.hostDevice) });
    kernel.writeSysctls({ namespacePath: request.namespacePath, values: podSysctls(request.interfaceName) });
    if (link.peerIndex === undefined) throw new Error(`link ${request.hostDevice} has no peer in ${request.namespacePath}`);
    await using inside = openNetlink({ namespacePath: request.namespacePath });
    throwFirstFailure(await inside.batch(podOperations(request, link.peerIndex)));
    throwFirstFailure(await netlink.batch(hostOperations(request, link.index)));
    return { ifindex: link.index };
  } catch (cause) {
    await disconnectPod(netlink, request.hostDevice).catch(() => {}); // Why it failed counts; who asked disconnects once more.
    throw cause;
  }
}

/** Before anything is made, and in the words of who named it. */
function checkNamespace(kernel: Kernel, path: string): void {
  try {
    kernel.namespaceCookie(path);
  } catch (cause) {
    const reason = cause instanceof KernelError ? ` (${cause.code})` : "";
    const message = `CNI_NETNS ${path} is no network namespace${reason}: the container runtime must make it before ADD`;
    throw new CniError(cniErrorCode.invalidEnvironment, message, cause);
  }
}

/** Removes the pair by its host side, and with it the routes. Absent: nothing happens. */
export async function disconnectPod(netlink: Netlink, hostDevice: string): Promise<void> {
  await netlink.links.delete(hostDevice);
}

function hostSysctls(device: string): Array<readonly [string, string]> {
  return [
    [`/proc/sys/net/ipv4/conf/${device}/rp_filter`, "0"],
    [`/proc/sys/net/ipv6/conf/${device}/accept_ra`, "0"], // The node learns no routes from its pods.
  ];
}

/** Container runtimes start some namespaces with IPv6 off. */
function podSysctls(device: string): Array<readonly [string, string]> {
  return [
    ["/proc/sys/net/ipv6/conf/all/disable_ipv6", "0"],
    [`/proc/sys/net/ipv6/conf/${device}/disable_ipv6`, "0"],
    [`/proc/sys/net/ipv6/conf/${device}/accept_ra`, "0"],
  ];
}

function podOperations(request: PodNetworkRequest, linkIndex: number): Operation[] {
  const operations: Operation[] = [{ kind: "link.set", link: linkIndex, change: { up: true } }];
  for (const [address, router, everything] of [
    [request.ipv4, request.routerIPv4, "0.0.0.0/0"],
    [request.ipv6, request.routerIPv6, "::/0"],
  ] as const) {
    operations.push(
      { kind: "address.add", address: { linkIndex, address, prefixLength: address.length * 8, noDad: true } },
      { kind: "route.add", route: { destination: hostPrefix(router), linkIndex } },
      {
        kind: "route.add",
        route: { destination: prefix(everything), gateway: router, linkIndex, mtu: Math.min(request.mtu, request.routeMtu) },
      },
      // The gateway's link address never changes: the pod need not ask for it, now or every half minute.
      { kind: "neighbour.replace", neighbour: { linkIndex, address: router, mac: request.hostMac } },
    );
  }
  return [...operations, ...nearRoutes(request, linkIndex)];
}

/** Pods of the same node need not keep their packets small for a tunnel that is not between them: a tenth of a stream's rate. */
function nearRoutes({ mtu, routeMtu, podPrefixes, routerIPv4, routerIPv6 }: PodNetworkRequest, linkIndex: number): Operation[] {
  if (mtu <= routeMtu) return [];
  return podPrefixes.map((destination) => {
    const gateway = destination.address.length === 4 ? routerIPv4 : routerIPv6;
    return { kind: "route.add", route: { destination, gateway, linkIndex } };
  });
}

function hostOperations(request: PodNetworkRequest, linkIndex: number): Operation[] {
  const operations: Operation[] = [{ kind: "link.set", link: linkIndex, change: { up: true } }];
  for (const [address, source] of [
    [request.ipv4, request.routerIPv4],
    [request.ipv6, request.routerIPv6],
  ] as const) {
    operations.push(
      // Replies to the node must come back to an address that pods have a route to.
      { kind: "route.replace", route: { destination: hostPrefix(address), linkIndex, source } },
      { kind: "neighbour.replace", neighbour: { linkIndex, address, mac: request.mac } },
    );
  }
  return operations;
}

function hostPrefix(address: AddressBytes): Prefix {
  return { address, length: address.length * 8 };
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new RangeError(`${text} is no prefix`);
  return parsed;
}
