import { reservedIdentities } from "@cilium-ts/identity";
import type { CiliumNode } from "@cilium-ts/kubernetes";
import { formatPrefix, type Prefix, parseAddress, parsePrefix } from "@cilium-ts/net";
import { Table } from "@cilium-ts/state";
import type { IpcacheTable } from "../ipcache-table.ts";
import { type NodeClaim, NodeClaims } from "./node-claims.ts";
import type { NodeIdentities } from "./node-identities.ts";

/** How packets for a remote node's pods leave this node. */
export interface RemoteRoute {
  /** Canonical prefix: `10.0.2.0/24`. */
  readonly destination: string;
  /** The node that has it: its address on the underlay, in the route's family where it has one. */
  readonly gateway: string | undefined;
  readonly nodeName: string;
}

export type RoutingMode = "tunnel" | "native";

/** What the other nodes of the cluster mean for this one: whose their addresses are, and where their pods are found. */
export class RemoteNodes {
  readonly routes = new Table<string, RemoteRoute>({ name: "routes to remote pods", keyOf: (row) => row.destination, sources: ["nodes"] });
  readonly #ipcache: IpcacheTable;
  readonly #localName: string;
  readonly #identities: NodeIdentities;
  readonly #mode: RoutingMode;
  readonly #nodes = new Map<string, { readonly node: CiliumNode; readonly prefixes: readonly string[] }>();
  /** Addresses of nodes, and the tunnels to them. */
  readonly #addresses = new NodeClaims();
  /** Addresses of health endpoints. */
  readonly #health = new NodeClaims();
  /** Pod CIDRs, and the gateways to them. */
  readonly #podCIDRs = new NodeClaims();
  readonly #listeners = new Set<() => void>();

  constructor(options: { ipcache: IpcacheTable; localName: string; mode: RoutingMode; identities: NodeIdentities }) {
    this.#identities = options.identities;
    this.#ipcache = options.ipcache;
    this.#localName = options.localName;
    this.#mode = options.mode;
  }

  get count(): number {
    return this.#nodes.size;
  }

  nodes(): CiliumNode[] {
    return [...this.#nodes.values()].map(({ node }) => node);
  }

  /** Calls the listener after every change. The returned function ends that. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Where the tunnel to a node ends; undefined in native mode, for this node, and for a node that nobody has heard of. */
  tunnelEndpointOf(nodeAddress: string): string | undefined {
    if (this.#mode !== "tunnel") return undefined;
    const prefix = hostPrefix(nodeAddress);
    const claim = prefix === undefined ? undefined : this.#addresses.get(formatPrefix(prefix));
    const known = claim === undefined ? undefined : this.#nodes.get(claim.nodeName);
    return known === undefined ? undefined : underlay(known.node, 4);
  }

  /** Whether the address on the underlay is of a node of the cluster other than this one. */
  hasAddress(address: string): boolean {
    const prefix = hostPrefix(address);
    const claim = prefix === undefined ? undefined : this.#addresses.get(formatPrefix(prefix));
    const known = claim === undefined ? undefined : this.#nodes.get(claim.nodeName);
    return known?.node.addresses.some(({ type, ip }) => type !== "CiliumInternalIP" && ip === address) ?? false;
  }

  /** Returns the addresses by which other objects may call the node, when the tunnel to them may be another one than before. */
  upsert(node: CiliumNode): readonly string[] {
    if (node.name === this.#localName) {
      this.#identities.setLocal(node);
      return [];
    }
    const before = this.#nodes.get(node.name);
    const prefixes = node.addresses
      .map(({ ip }) => hostPrefix(ip))
      .filter((prefix) => prefix !== undefined)
      .map(formatPrefix);
    this.#nodes.set(node.name, { node, prefixes });
    const tunnel = this.#mode === "tunnel" ? underlay(node, 4) : undefined;
    for (const { type, ip } of node.addresses) {
      const prefix = hostPrefix(ip);
      if (prefix === undefined) continue;
      // A node's address on the underlay is reached as it is; its address among the pods only through the tunnel.
      const via = type === "CiliumInternalIP" ? tunnel : undefined;
      this.#tell(formatPrefix(prefix), this.#addresses.put(formatPrefix(prefix), { nodeName: node.name, via }));
    }
    for (const former of before?.prefixes ?? [])
      if (!prefixes.includes(former)) this.#tell(former, this.#addresses.drop(former, node.name));
    this.#setHealth(node, before?.node, tunnel);
    this.#setRoutes(node, before?.node);
    for (const listener of this.#listeners) listener();
    const texts = (of: CiliumNode | undefined): string[] => (of?.addresses ?? []).map(({ ip }) => ip);
    const isSame = before !== undefined && texts(before.node).join() === texts(node).join();
    return isSame ? [] : [...new Set([...texts(before?.node), ...texts(node)])];
  }

  remove(name: string): void {
    const known = this.#nodes.get(name);
    if (known === undefined) return;
    this.#nodes.delete(name);
    for (const prefix of known.prefixes) this.#tell(prefix, this.#addresses.drop(prefix, name));
    for (const prefix of healthPrefixes(known.node)) this.#tellHealth(prefix, this.#health.drop(prefix, name));
    for (const cidr of known.node.podCIDRs) this.#deleteRoute(cidr, name);
    for (const listener of this.#listeners) listener();
  }

  #setHealth(node: CiliumNode, before: CiliumNode | undefined, via: string | undefined): void {
    const prefixes = healthPrefixes(node);
    for (const prefix of prefixes) this.#tellHealth(prefix, this.#health.put(prefix, { nodeName: node.name, via }));
    for (const former of before === undefined ? [] : healthPrefixes(before))
      if (!prefixes.includes(former)) this.#tellHealth(former, this.#health.drop(former, node.name));
  }

  #tellHealth(prefix: string, claim: NodeClaim | undefined): void {
    if (claim === undefined) this.#ipcache.remove(prefix, "custom-resource");
    else this.#ipcache.upsert(prefix, "custom-resource", reservedIdentities.health, claim.via);
  }

  #setRoutes(node: CiliumNode, before: CiliumNode | undefined): void {
    for (const cidr of before?.podCIDRs ?? []) if (!node.podCIDRs.includes(cidr)) this.#deleteRoute(cidr, node.name);
    for (const cidr of node.podCIDRs) {
      const prefix = parsePrefix(cidr);
      if (prefix === undefined) continue;
      const via = underlay(node, prefix.address.length === 4 ? 4 : 6);
      const destination = formatPrefix(prefix);
      this.#route(destination, this.#podCIDRs.put(destination, { nodeName: node.name, via }));
    }
  }

  #deleteRoute(cidr: string, nodeName: string): void {
    const prefix = parsePrefix(cidr);
    if (prefix === undefined) return;
    const destination = formatPrefix(prefix);
    this.#route(destination, this.#podCIDRs.drop(destination, nodeName));
  }

  #route(destination: string, claim: NodeClaim | undefined): void {
    this.#placePods(destination, claim);
    if (claim === undefined) {
      this.routes.delete(destination);
      return;
    }
    const { nodeName, via: gateway } = claim;
    const existing = this.routes.get(destination);
    if (existing?.nodeName !== nodeName || existing.gateway !== gateway) this.routes.upsert({ destination, gateway, nodeName });
  }

  /**
   * Whoever has an address there is behind the tunnel to the node: its packets come from there, and answers find it before its own object
   * says who it is. Until then it is of the world, as it was.
   */
  #placePods(destination: string, claim: NodeClaim | undefined): void {
    const owner = this.#mode === "tunnel" ? this.#nodes.get(claim?.nodeName ?? "") : undefined;
    const tunnel = owner === undefined ? undefined : underlay(owner.node, 4);
    const world = destination.includes(":") ? reservedIdentities.worldIPv6 : reservedIdentities.worldIPv4;
    if (tunnel === undefined) this.#ipcache.remove(destination, "custom-resource");
    else this.#ipcache.upsert(destination, "custom-resource", world, tunnel);
  }

  #tell(prefix: string, claim: NodeClaim | undefined): void {
    const owner = this.#nodes.get(claim?.nodeName ?? "");
    if (claim === undefined || owner === undefined) {
      this.#ipcache.remove(prefix, "custom-resource");
      this.#identities.release(prefix);
    } else this.#ipcache.upsert(prefix, "custom-resource", this.#identities.acquire(prefix, owner.node), claim.via);
  }
}

function underlay(node: CiliumNode, family: 4 | 6): string | undefined {
  const addresses = node.addresses.filter(({ type }) => type === "InternalIP" || type === "ExternalIP");
  return addresses.find(({ ip }) => ip.includes(":") === (family === 6))?.ip;
}

function healthPrefixes({ healthIPv4, healthIPv6 }: CiliumNode): string[] {
  const prefixes = [healthIPv4, healthIPv6].map(hostPrefix).filter((prefix) => prefix !== undefined);
  return prefixes.map(formatPrefix);
}

function hostPrefix(ip: string): Prefix | undefined {
  const address = parseAddress(ip);
  return address === undefined ? undefined : { address, length: address.length * 8 };
}
