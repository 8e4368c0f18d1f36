import type { AddressBytes } from "@cilium-ts/net";
import type { PlumbingRequest, PodPlumbing } from "../endpoints/pod-plumbing.ts";
import { connectPod, disconnectPod, type PodNetworkWorld } from "./pod-network.ts";

/** Pods' devices over the node's netlink socket. */
export function createPodPlumbing(
  world: PodNetworkWorld,
  given: { ipv4: AddressBytes; ipv6: AddressBytes; routeMtu: number },
): PodPlumbing {
  const { kernel, netlink } = world;
  return {
    async connect(request: PlumbingRequest) {
      const { ifindex } = await connectPod(world, { ...request, routerIPv4: given.ipv4, routerIPv6: given.ipv6, routeMtu: given.routeMtu });
      return { ifindex, netnsCookie: String(kernel.namespaceCookie(request.namespacePath)) };
    },
    disconnect: (hostDevice) => disconnectPod(netlink, hostDevice),
    find: async (hostDevice) => (await netlink.links.get(hostDevice))?.index,
  };
}
