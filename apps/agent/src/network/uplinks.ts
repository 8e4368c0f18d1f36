import type { Link } from "@cilium-ts/netlink";

/** What leads out of the node: not its loopback, its pods' devices or ours. Our programs read Ethernet frames only. */
export function isUplink(link: Link): boolean {
  return link.up && !link.loopback && link.mac.length === 6 && link.masterIndex === undefined && !/^(lxc|cilium_)/.test(link.name);
}
