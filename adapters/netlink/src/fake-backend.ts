import type { Family } from "@cilium-ts/net";
import type { Backend, Change, Watchable } from "./backend.ts";
import { errnoOf, NetlinkError, unacceptable } from "./errors.ts";
import { FakeAddressing } from "./fake-addressing.ts";
import type { FakeLink, FakeNamespace } from "./fake-namespace.ts";
import { FakeRouting } from "./fake-routing.ts";
import { watchFake } from "./fake-watch.ts";
import {
  checkReference,
  describeLink,
  type Link,
  type LinkChange,
  type LinkReference,
  type NewLink,
  type NewVeth,
  type NewVxlan,
} from "./link.ts";
import { checkOperation, describeOperation, type Operation, type Outcome, type Rows } from "./operation.ts";

/** Refuses what the kernel refuses, with its errno. What it does not do: routes of its own (protocol 2), addresses of the loopback. */
export class FakeBackend implements Backend {
  readonly #namespace: FakeNamespace;
  readonly #namespaceAt: (path: string) => FakeNamespace | undefined;
  readonly #addressing: FakeAddressing;
  readonly #routing: FakeRouting;
  #macLast = 0;
  #closed = false;

  constructor(namespace: FakeNamespace, namespaceAt: (path: string) => FakeNamespace | undefined) {
    this.#namespace = namespace;
    this.#namespaceAt = namespaceAt;
    this.#addressing = new FakeAddressing(namespace);
    this.#routing = new FakeRouting(namespace);
  }

  async batch(operations: readonly Operation[]): Promise<readonly Outcome[]> {
    this.#checkOpen();
    return operations.map((operation) => {
      try {
        checkOperation(operation);
        const result = this.#carryOut(operation);
        if (typeof result !== "number") return { ok: true, link: result };
        return { ok: false, error: new NetlinkError({ operation: operation.kind, subject: describeOperation(operation), errno: result }) };
      } catch (cause) {
        if (cause instanceof NetlinkError) return { ok: false, error: cause };
        throw cause;
      }
    });
  }

  async list<Kind extends keyof Rows>(kind: Kind, family: Family | undefined): Promise<readonly Rows[Kind][]> {
    this.#checkOpen();
    const ofFamily = (row: { readonly address: Uint8Array }): boolean =>
      family === undefined || row.address.length === (family === 4 ? 4 : 16);
    const { links, addresses, routes, rules, neighbours } = this.#namespace;
    const lists: { readonly [Each in keyof Rows]: () => readonly Rows[Each][] } = {
      link: () => Array.from(links.values(), (link) => this.#namespace.rowOf(link)),
      address: () => addresses.filter(ofFamily),
      route: () => routes.filter((route) => family === undefined || route.family === family),
      rule: () => rules.filter((rule) => family === undefined || rule.family === family),
      neighbour: () => neighbours.filter(ofFamily),
    };
    return lists[kind]();
  }

  async findLink(reference: LinkReference): Promise<Link | undefined> {
    this.#checkOpen();
    checkReference("link.get", reference);
    const link = this.#namespace.find(reference);
    return link === undefined ? undefined : this.#namespace.rowOf(link);
  }

  watch<Kind extends Watchable>(kind: Kind, signal: AbortSignal): AsyncIterable<Change<Rows[Kind]>> {
    this.#checkOpen();
    return watchFake<Rows[Kind]>(this.#namespace.watchers[kind], signal);
  }

  close(): void {
    this.#closed = true;
  }

  #checkOpen(): void {
    if (this.#closed) throw new Error(`netlink of ${this.#namespace.path} is closed`);
  }

  /** An errno, or the link that was made, or nothing. */
  #carryOut(operation: Operation): Link | number | undefined {
    switch (operation.kind) {
      case "link.createVeth":
        return this.#createVeth(operation.link);
      case "link.createBridge":
        return this.#createBridge(operation.link);
      case "link.createVxlan":
        return this.#createVxlan(operation.link);
      case "link.set":
        return this.#setLink(operation.link, operation.change);
      case "link.delete":
        return this.#deleteLink(operation.link);
      case "address.add":
      case "address.replace":
        return this.#addressing.putAddress(operation.address, operation.kind === "address.replace");
      case "address.delete":
        return this.#addressing.deleteAddress(operation.address);
      case "route.add":
      case "route.replace":
        return this.#routing.putRoute(operation.route, operation.kind === "route.replace");
      case "route.delete":
        return this.#routing.deleteRoute(operation.route);
      case "rule.add":
        return this.#routing.addRule(operation.rule);
      case "rule.delete":
        return this.#routing.deleteRule(operation.rule);
      case "neighbour.replace":
        return this.#addressing.putNeighbour(operation.neighbour);
      case "neighbour.delete":
        return this.#addressing.deleteNeighbour(operation.neighbour);
    }
  }

  #createVeth(spec: NewVeth): Link | number {
    const here = this.#namespace;
    const there = this.#peerNamespace(spec);
    if (here.find(spec.name) !== undefined || there.find(spec.peer.name) !== undefined) return errnoOf.exists;
    if (here === there && spec.name === spec.peer.name) return errnoOf.exists;
    // The peer is registered first, so it has the lower index where both are in one namespace.
    const peer = there.addLink({ ...this.#settings(spec.peer), name: spec.peer.name, kind: "veth", up: false, alias: "" });
    const link = here.addLink({ ...this.#settings(spec), name: spec.name, kind: "veth", up: spec.up ?? false, alias: "" });
    link.peer = { namespace: there, link: peer };
    peer.peer = { namespace: here, link };
    there.changed(peer);
    here.changed(link);
    return here.rowOf(link);
  }

  #peerNamespace(spec: NewVeth): FakeNamespace {
    const { namespacePath, namespaceFd } = spec.peer;
    const operation = "link.createVeth";
    if (namespaceFd !== undefined) throw unacceptable(operation, describeLink(spec.name), "the fake knows namespaces by their paths only");
    if (namespacePath === undefined) return this.#namespace;
    const namespace = this.#namespaceAt(namespacePath);
    if (namespace !== undefined) return namespace;
    const subject = `${describeLink(spec.name)}: network namespace ${namespacePath} of its peer`;
    throw new NetlinkError({ operation, subject, errno: errnoOf.noEntry });
  }

  #createBridge(spec: NewLink): Link | number {
    const here = this.#namespace;
    if (here.find(spec.name) !== undefined) return errnoOf.exists;
    const link = here.addLink({ ...this.#settings(spec), name: spec.name, kind: "bridge", up: spec.up ?? false, alias: "" });
    here.changed(link);
    return here.rowOf(link);
  }

  #createVxlan(spec: NewVxlan): Link | number {
    const here = this.#namespace;
    const taken = [...here.links.values()].some((link) => link.name === spec.name || link.port === spec.port);
    if (taken) return errnoOf.exists;
    const { name, port, up = false } = spec;
    const link = here.addLink({ ...this.#settings(spec), name, kind: "vxlan", port, up, alias: "" });
    here.changed(link);
    return here.rowOf(link);
  }

  #settings(spec: { readonly mac?: Uint8Array | undefined; readonly mtu?: number | undefined }): { mac: Uint8Array; mtu: number } {
    this.#macLast += 1;
    const mac = spec.mac ?? Uint8Array.of(0x02, 0xfa, 0x4e, 0, this.#macLast >> 8, this.#macLast & 0xff);
    return { mac: Uint8Array.from(mac), mtu: spec.mtu ?? 1500 };
  }

  #setLink(reference: LinkReference, change: LinkChange): number | undefined {
    const here = this.#namespace;
    const link = here.find(reference);
    if (link === undefined) return errnoOf.noDevice;
    const { masterIndex } = change;
    if (masterIndex !== undefined && masterIndex !== null && here.links.get(masterIndex)?.kind !== "bridge") return errnoOf.invalid;
    if (change.mac !== undefined) link.mac = Uint8Array.from(change.mac);
    if (change.mtu !== undefined) link.mtu = change.mtu;
    if (change.alias !== undefined) link.alias = change.alias;
    if (masterIndex !== undefined) link.masterIndex = masterIndex ?? undefined;
    if (change.arp !== undefined) link.arp = change.arp;
    if (change.up !== undefined) this.#switch(link, change.up);
    here.changed(link);
    return undefined;
  }

  #switch(link: FakeLink, up: boolean): void {
    if (link.up === up) return;
    link.up = up;
    if (!up) this.#namespace.flush(link, "ipv6");
    link.peer?.namespace.changed(link.peer.link); // Its carrier.
  }

  #deleteLink(reference: LinkReference): number | undefined {
    const link = this.#namespace.find(reference);
    if (link === undefined) return errnoOf.noDevice;
    if (link.kind === "") return errnoOf.notSupported;
    this.#namespace.removeLink(link);
    link.peer?.namespace.removeLink(link.peer.link);
    return undefined;
  }
}
