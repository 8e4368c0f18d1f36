import type { Link } from "@cilium-ts/netlink";

/** What leads out of the node: not its loopback, its pods' devices or ours. */
export function isUplink(link: Link): boolean {
  return link.up && !link.loopback && link.masterIndex === undefined && !/^(lxc|cilium_)/.test(link.name);
}
