import type { AddressBytes, Family } from "@cilium-ts/net";
import type { Change, Watchable } from "./backend.ts";
import type { InterfaceAddress } from "./interface-address.ts";
import type { Link, LinkReference } from "./link.ts";
import type { Neighbour } from "./neighbour.ts";
import type { Rows } from "./operation.ts";
import type { Route } from "./route.ts";
import type { Rule } from "./rule.ts";

/** A link of the fake, changed in place; `rowOf` shows it. */
export interface FakeLink {
  readonly index: number;
  readonly name: string;
  readonly kind: string;
  mac: Uint8Array;
  mtu: number;
  up: boolean;
  arp: boolean;
  masterIndex: number | undefined;
  alias: string;
  /** Of a VXLAN device. */
  readonly port?: number | undefined;
  peer: { readonly namespace: FakeNamespace; readonly link: FakeLink } | undefined;
}

type Watchers = { readonly [Kind in Watchable]: Set<(change: Change<Rows[Kind]>) => void> };

/** What one network namespace holds. A new one has a loopback that is down, and the kernel's five rules. */
export class FakeNamespace {
  readonly path: string;
  readonly links = new Map<number, FakeLink>();
  readonly watchers: Watchers = { link: new Set(), address: new Set(), route: new Set(), neighbour: new Set() };
  addresses: InterfaceAddress[] = [];
  routes: Route[] = [];
  rules: Rule[];
  neighbours: Neighbour[] = [];
  readonly #namespaceIds = new Map<FakeNamespace, number>();
  #indexLast = 0;

  constructor(path: string) {
    this.path = path;
    this.rules = [
      kernelRule(4, 0, 255),
      kernelRule(4, 32766, 254),
      kernelRule(4, 32767, 253),
      kernelRule(6, 0, 255),
      kernelRule(6, 32766, 254),
    ];
    this.addLink({ name: "lo", kind: "", mac: new Uint8Array(6), mtu: 65536, up: false, alias: "" });
  }

  addLink(link: Omit<FakeLink, "index" | "arp" | "peer" | "masterIndex">): FakeLink {
    this.#indexLast += 1;
    const added: FakeLink = { ...link, index: this.#indexLast, arp: true, masterIndex: undefined, peer: undefined };
    this.links.set(added.index, added);
    return added;
  }

  find(reference: LinkReference): FakeLink | undefined {
    if (typeof reference === "number") return this.links.get(reference);
    for (const link of this.links.values()) if (link.name === reference) return link;
    return undefined;
  }

  rowOf(link: FakeLink): Link {
    const elsewhere = link.peer !== undefined && link.peer.namespace !== this ? link.peer.namespace : undefined;
    return {
      index: link.index,
      name: link.name,
      kind: link.kind,
      mac: Uint8Array.from(link.mac),
      mtu: link.mtu,
      up: link.up,
      running: link.up && (link.peer?.link.up ?? true),
      loopback: link.kind === "" && link.name === "lo",
      arp: link.arp,
      masterIndex: link.masterIndex,
      peerIndex: link.peer?.link.index,
      peerNamespaceId: elsewhere === undefined ? undefined : this.#namespaceIdOf(elsewhere),
      alias: link.alias,
    };
  }

  changed(link: FakeLink): void {
    this.tell("link", { kind: "set", row: this.rowOf(link) });
  }

  /** Everything that the kernel forgets with a link. */
  removeLink(link: FakeLink): void {
    this.flush(link, "all");
    this.links.delete(link.index);
    for (const port of this.links.values()) if (port.masterIndex === link.index) port.masterIndex = undefined;
    this.tell("link", { kind: "removed", row: this.rowOf(link) });
  }

  /** What depends on the link: a link that goes down keeps its IPv4 addresses only. */
  flush(link: FakeLink, addresses: "all" | "ipv6"): void {
    this.routes = this.#without("route", this.routes, (route) => route.linkIndex === link.index);
    this.neighbours = this.#without("neighbour", this.neighbours, (neighbour) => neighbour.linkIndex === link.index);
    this.addresses = this.#without(
      "address",
      this.addresses,
      ({ linkIndex, address }) => linkIndex === link.index && (addresses === "all" || address.length === 16),
    );
  }

  hasAddress(address: AddressBytes): boolean {
    return this.addresses.some((row) => Buffer.compare(row.address, address) === 0);
  }

  tell<Kind extends Watchable>(kind: Kind, change: Change<Rows[Kind]>): void {
    for (const watcher of this.watchers[kind]) watcher(change);
  }

  #without<Kind extends Watchable>(kind: Kind, rows: Rows[Kind][], goes: (row: Rows[Kind]) => boolean): Rows[Kind][] {
    for (const row of rows) if (goes(row)) this.tell(kind, { kind: "removed", row });
    return rows.filter((row) => !goes(row));
  }

  #namespaceIdOf(namespace: FakeNamespace): number {
    const id = this.#namespaceIds.get(namespace) ?? this.#namespaceIds.size;
    this.#namespaceIds.set(namespace, id);
    return id;
  }
}

function kernelRule(family: Family, priority: number, table: number): Rule {
  const anything = { from: undefined, to: undefined, mark: undefined, mask: undefined, inputLink: undefined, outputLink: undefined };
  return { family, priority, ...anything, action: "table", table, protocol: 2 };
}
