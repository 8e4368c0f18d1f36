import type { Kernel } from "@cilium-ts/kernel";
import type { AddressBytes } from "@cilium-ts/net";
import type { Netlink } from "@cilium-ts/netlink";
import type { PlumbingRequest, PodPlumbing } from "../endpoints/pod-plumbing.ts";
import { connectPod, disconnectPod } from "./pod-network.ts";

/** Pods' devices over the node's netlink socket. */
export function createPodPlumbing(kernel: Kernel, netlink: Netlink, routers: { ipv4: AddressBytes; ipv6: AddressBytes }): PodPlumbing {
  return {
    async connect(request: PlumbingRequest) {
      const { ifindex } = await connectPod(kernel, netlink, { ...request, routerIPv4: routers.ipv4, routerIPv6: routers.ipv6 });
      return { ifindex, netnsCookie: String(kernel.namespaceCookie(request.namespacePath)) };
    },
    disconnect: (hostDevice) => disconnectPod(netlink, hostDevice),
    find: async (hostDevice) => (await netlink.links.get(hostDevice))?.index,
  };
}
