import type { Prefix } from "@cilium-ts/net";
import type { PlumbingRequest, PodPlumbing } from "../endpoints/pod-plumbing.ts";
import { connectPod, disconnectPod, isPodDevice, type PodNetworkRequest, type PodNetworkWorld } from "./pod-network.ts";

/** What is the same for every pod of the node. */
interface PlumbingWays extends Pick<PodNetworkRequest, "routerIPv4" | "routerIPv6" | "routeMtu"> {
  /** Those of the moment. */
  podPrefixes(): readonly Prefix[];
}

/** Pods' devices over the node's netlink socket. */
export function createPodPlumbing(world: PodNetworkWorld, given: PlumbingWays): PodPlumbing {
  const { kernel, netlink } = world;
  return {
    async connect(request: PlumbingRequest) {
      const { ifindex } = await connectPod(world, { ...request, ...given, podPrefixes: given.podPrefixes() });
      return { ifindex, netnsCookie: String(kernel.namespaceCookie(request.namespacePath)) };
    },
    disconnect: (hostDevice) => disconnectPod(netlink, hostDevice),
    async disconnectIndex(ifindex) {
      const link = (await netlink.links.list()).find(({ index }) => index === ifindex);
      if (link !== undefined && isPodDevice(link.name)) await disconnectPod(netlink, link.name);
    },
    find: async (hostDevice) => (await netlink.links.get(hostDevice))?.index,
  };
}
