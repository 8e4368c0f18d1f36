import type { Link, Netlink } from "@cilium-ts/netlink";
import { isUplink } from "./uplinks.ts";

/**
 * The native device by which pods of other nodes are reached past the node's stack: the one that was named, or the one of the default
 * route, or the only one that leads out of the node. 0: there is no such device, and the stack sends them. A packet whose route leads
 * elsewhere goes by the stack all the same, so a wrong guess costs speed and nothing else.
 */
export async function findDirectDevice(netlink: Netlink, name: string): Promise<number> {
  const links = await netlink.links.list();
  if (name !== "") {
    const link = links.find((candidate) => candidate.name === name);
    if (link === undefined) throw new Error(`--direct-routing-device: the node has no device "${name}"; leave it empty to have one found`);
    return link.index;
  }
  const uplinks = links.filter(isUplink);
  return (await defaultRouteDevice(netlink, uplinks)) ?? (uplinks.length === 1 ? uplinks[0]?.index : undefined) ?? 0;
}

async function defaultRouteDevice(netlink: Netlink, uplinks: readonly Link[]): Promise<number | undefined> {
  const routes = (await netlink.routes.list({ table: 254 })).filter(
    ({ destination, kind, linkIndex }) =>
      destination.length === 0 && kind === "unicast" && uplinks.some((link) => link.index === linkIndex),
  );
  const [best] = routes.toSorted((one, other) => familyOrder(one) - familyOrder(other) || one.metric - other.metric);
  return best?.linkIndex;
}

/** Metrics of the two families cannot be compared. */
function familyOrder({ family }: { readonly family: 4 | 6 }): number {
  return family === 4 ? 0 : 1;
}
