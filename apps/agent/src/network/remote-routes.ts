import { formatPrefix, type Prefix, parseAddress, parsePrefix } from "@cilium-ts/net";
import type { Netlink, NewRoute } from "@cilium-ts/netlink";
import type { Target } from "@cilium-ts/state";
import type { RemoteRoute, RoutingMode } from "../cluster/remote-nodes.ts";

/** Marks our routes among the node's (RTPROT_*): the numbers from 192 on are nobody's. */
export const remoteRouteProtocol = 201;

export interface RemoteRoutesOptions {
  readonly netlink: Netlink;
  readonly mode: RoutingMode;
  readonly routerIPv4: Uint8Array;
  readonly routerIPv6: Uint8Array;
  /** Index of `cilium_host`. */
  readonly hostDevice: number;
  readonly mtu: number;
}

/**
 * Routes of the node's own stack to pods of other nodes. Tunnelled packets leave by `cilium_host`, whose program encapsulates them; native
 * ones by the other node's address on the underlay, which must be on one of our links.
 */
export function createRemoteRoutes(options: RemoteRoutesOptions): Target<string, RemoteRoute> {
  const { netlink } = options;
  return {
    async apply(row) {
      await netlink.routes.replace(routeOf(row, options));
    },
    async remove(destination) {
      await netlink.routes.delete({ destination: prefixOf(destination), protocol: remoteRouteProtocol });
    },
    async realised() {
      const routes = await netlink.routes.list({ protocol: remoteRouteProtocol });
      return routes.map((route) => formatPrefix(route.destination));
    },
  };
}

function routeOf(row: RemoteRoute, { mode, routerIPv4, routerIPv6, hostDevice, mtu }: RemoteRoutesOptions): NewRoute {
  const destination = prefixOf(row.destination);
  const source = destination.address.length === 4 ? routerIPv4 : routerIPv6;
  if (mode === "tunnel") return { destination, linkIndex: hostDevice, source, protocol: remoteRouteProtocol, mtu };
  const gateway = parseAddress(row.gateway ?? "");
  if (gateway === undefined) {
    const family = destination.address.length === 4 ? "IPv4" : "IPv6";
    throw new Error(`node ${row.nodeName} has no ${family} InternalIP: its pods in ${row.destination} cannot be reached natively`);
  }
  return { destination, gateway, source, protocol: remoteRouteProtocol };
}

function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw new RangeError(`${text} is no prefix`);
  return prefix;
}
