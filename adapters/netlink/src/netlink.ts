import type { AddressBytes, Family } from "@cilium-ts/net";
import type { Backend, Change } from "./backend.ts";
import { malformed, type NetlinkError } from "./errors.ts";
import type { InterfaceAddress, NewInterfaceAddress } from "./interface-address.ts";
import type { Link, LinkChange, LinkReference, NewLink, NewVeth, NewVxlan } from "./link.ts";
import type { Neighbour, NeighbourKey, NewNeighbour } from "./neighbour.ts";
import type { Operation, Outcome } from "./operation.ts";
import { type NewRoute, type Route, type RouteFilter, routeMatches } from "./route.ts";
import type { NewRule, Rule } from "./rule.ts";

/**
 * Links, addresses, routes, rules and neighbours of one network namespace. Every failure is a NetlinkError.
 * `delete` says false when there was nothing to delete. A watch is joined when the call returns: list after it, and nothing is missed.
 * It ends with the signal or when the loop over it does.
 */
export interface Netlink extends Disposable, AsyncDisposable {
  readonly links: {
    list(): Promise<readonly Link[]>;
    get(link: LinkReference): Promise<Link | undefined>;
    createVeth(link: NewVeth): Promise<Link>;
    createBridge(link: NewLink): Promise<Link>;
    createVxlan(link: NewVxlan): Promise<Link>;
    set(link: LinkReference, change: LinkChange): Promise<void>;
    delete(link: LinkReference): Promise<boolean>;
  };
  readonly addresses: {
    list(filter?: { readonly family?: Family | undefined; readonly linkIndex?: number | undefined }): Promise<readonly InterfaceAddress[]>;
    add(address: NewInterfaceAddress): Promise<void>;
    replace(address: NewInterfaceAddress): Promise<void>;
    delete(address: { linkIndex: number; address: AddressBytes; prefixLength: number }): Promise<boolean>;
  };
  readonly routes: {
    list(filter?: RouteFilter): Promise<readonly Route[]>;
    add(route: NewRoute): Promise<void>;
    /** IPv4 replaces the route with this destination and metric; so does IPv6. */
    replace(route: NewRoute): Promise<void>;
    /** What the description leaves out matches anything; the first that fits goes. */
    delete(route: NewRoute): Promise<boolean>;
  };
  readonly rules: {
    list(filter?: { readonly family?: Family | undefined }): Promise<readonly Rule[]>;
    add(rule: NewRule): Promise<void>;
    delete(rule: NewRule): Promise<boolean>;
  };
  readonly neighbours: {
    list(filter?: { readonly family?: Family | undefined; readonly linkIndex?: number | undefined }): Promise<readonly Neighbour[]>;
    /** Makes a permanent entry, or turns what is there into one. */
    replace(neighbour: NewNeighbour): Promise<void>;
    delete(neighbour: NeighbourKey): Promise<boolean>;
  };
  /** Carries the operations out in their order, in as few system calls as will hold the answers. One that fails does not stop the others. */
  batch(operations: readonly Operation[]): Promise<readonly Outcome[]>;
  watchLinks(signal: AbortSignal): AsyncIterable<Change<Link>>;
  watchAddresses(signal: AbortSignal): AsyncIterable<Change<InterfaceAddress>>;
  watchRoutes(signal: AbortSignal): AsyncIterable<Change<Route>>;
  watchNeighbours(signal: AbortSignal): AsyncIterable<Change<Neighbour>>;
}

/** The calls of Netlink, each made of what a backend does. */
export function createNetlink(backend: Backend): Netlink {
  const attempt = async (operation: Operation): Promise<Outcome> => {
    const [outcome] = await backend.batch([operation]);
    if (outcome === undefined) throw malformed("no outcome for an operation");
    return outcome;
  };
  const apply = async (operation: Operation): Promise<void> => {
    const outcome = await attempt(operation);
    if (!outcome.ok) throw outcome.error;
  };
  const create = async (operation: Operation): Promise<Link> => {
    const outcome = await attempt(operation);
    if (!outcome.ok) throw outcome.error;
    if (outcome.link === undefined) throw malformed("a created link was not echoed: this needs Linux 6.2 or newer");
    return outcome.link;
  };
  // The kernel tells of a VXLAN device before it is done with the request, and so echoes nothing: it is asked for the link.
  const createVxlan = async (link: NewVxlan): Promise<Link> => {
    const outcome = await attempt({ kind: "link.createVxlan", link });
    if (!outcome.ok) throw outcome.error;
    const created = outcome.link ?? (await backend.findLink(link.name));
    if (created === undefined) throw malformed(`link ${link.name} was created and is not there`);
    return created;
  };
  const remove = async (operation: Operation): Promise<boolean> => removed(await attempt(operation));
  return {
    links: {
      list: () => backend.list("link", undefined),
      get: (link) => backend.findLink(link),
      createVeth: (link) => create({ kind: "link.createVeth", link }),
      createBridge: (link) => create({ kind: "link.createBridge", link }),
      createVxlan,
      set: (link, change) => apply({ kind: "link.set", link, change }),
      delete: (link) => remove({ kind: "link.delete", link }),
    },
    addresses: {
      list: async (filter = {}) => (await backend.list("address", filter.family)).filter(onLink(filter.linkIndex)),
      add: (address) => apply({ kind: "address.add", address }),
      replace: (address) => apply({ kind: "address.replace", address }),
      delete: (address) => remove({ kind: "address.delete", address }),
    },
    routes: {
      list: async (filter = {}) => (await backend.list("route", filter.family)).filter((route) => routeMatches(route, filter)),
      add: (route) => apply({ kind: "route.add", route }),
      replace: (route) => apply({ kind: "route.replace", route }),
      delete: (route) => remove({ kind: "route.delete", route }),
    },
    rules: {
      list: (filter = {}) => backend.list("rule", filter.family),
      add: (rule) => apply({ kind: "rule.add", rule }),
      delete: (rule) => remove({ kind: "rule.delete", rule }),
    },
    neighbours: {
      list: async (filter = {}) => (await backend.list("neighbour", filter.family)).filter(onLink(filter.linkIndex)),
      replace: (neighbour) => apply({ kind: "neighbour.replace", neighbour }),
      delete: (neighbour) => remove({ kind: "neighbour.delete", neighbour }),
    },
    batch: (operations) => backend.batch(operations),
    watchLinks: (signal) => backend.watch("link", signal),
    watchAddresses: (signal) => backend.watch("address", signal),
    watchRoutes: (signal) => backend.watch("route", signal),
    watchNeighbours: (signal) => backend.watch("neighbour", signal),
    [Symbol.dispose]: () => backend.close(),
    [Symbol.asyncDispose]: async () => backend.close(),
  };
}

function removed(outcome: Outcome): boolean {
  if (outcome.ok) return true;
  const error: NetlinkError = outcome.error;
  if (error.absent) return false;
  throw error;
}

function onLink(linkIndex: number | undefined): (row: { readonly linkIndex: number }) => boolean {
  return (row) => linkIndex === undefined || row.linkIndex === linkIndex;
}
