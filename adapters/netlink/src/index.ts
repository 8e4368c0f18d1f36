export type { Change } from "./backend.ts";
export { NetlinkError } from "./errors.ts";
export type { InterfaceAddress, NewInterfaceAddress } from "./interface-address.ts";
export {
  checkLinkName,
  type Link,
  type LinkChange,
  type LinkReference,
  type NewLink,
  type NewPeer,
  type NewVeth,
  type NewVxlan,
} from "./link.ts";
export type { Neighbour, NeighbourKey, NeighbourState, NewNeighbour } from "./neighbour.ts";
export type { Netlink } from "./netlink.ts";
export { openNetlink } from "./open-netlink.ts";
export { type Operation, type Outcome, throwFirstFailure } from "./operation.ts";
export { mainTable, type NewRoute, type NewRouteKind, type Route, type RouteFilter, type RouteKind } from "./route.ts";
export type { NewRule, Rule, RuleAction } from "./rule.ts";
export type { Scope } from "./scope.ts";
