import type { Kernel } from "@cilium-ts/kernel";
import { type Link, type Netlink, NetlinkError } from "@cilium-ts/netlink";

export const tunnelDevice = "cilium_vxlan";

export interface TunnelOptions {
  readonly kernel: Kernel;
  readonly netlink: Netlink;
  /** UDP. */
  readonly port: number;
  /** Of the uplink: what is encapsulated is 50 bytes smaller. */
  readonly mtu: number;
}

/** The device through which packets for other nodes' pods leave; one of an earlier run is kept, so that traffic goes on. Its index. */
export async function openTunnel(options: TunnelOptions): Promise<number> {
  const { kernel, netlink, mtu } = options;
  const link = (await netlink.links.get(tunnelDevice)) ?? (await createTunnel(options));
  kernel.writeSysctls({
    values: [
      [`/proc/sys/net/ipv4/conf/${tunnelDevice}/rp_filter`, "0"],
      [`/proc/sys/net/ipv6/conf/${tunnelDevice}/accept_ra`, "0"],
    ],
  });
  await netlink.links.set(tunnelDevice, { up: true, mtu });
  return link.index;
}

/** For a node that no longer tunnels. */
export async function removeTunnel(netlink: Netlink): Promise<void> {
  await netlink.links.delete(tunnelDevice);
}

async function createTunnel({ netlink, port, mtu }: TunnelOptions): Promise<Link> {
  try {
    return await netlink.links.createVxlan({ name: tunnelDevice, external: true, port, mtu });
  } catch (cause) {
    if (!(cause instanceof NetlinkError && cause.code === "EOPNOTSUPP")) throw cause;
    throw new Error("this kernel has no VXLAN: load its module, or use --routing-mode native", { cause });
  }
}
