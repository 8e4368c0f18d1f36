import { type Peer, type PeerDirectory, parseListenAddress, peerName, tlsServerName } from "@cilium-ts/observer";

/** A node as its peers know it. */
export interface PeerNode {
  readonly name: string;
  readonly addresses: ReadonlyArray<{ readonly type: string; readonly ip: string }>;
}

export interface NodePeersOptions {
  readonly clusterName: string;
  readonly localName: string;
  /** Where every node of the cluster serves Hubble; empty when this one serves on its socket only. */
  readonly listenAddress: string;
  readonly socketPath: string;
  readonly usesTls: boolean;
  /** The node's own addresses on the underlay. */
  readonly underlay: () => readonly string[];
  readonly remoteNodes: () => readonly PeerNode[];
}

/** The nodes that a relay finds through this one. Other nodes are taken to serve on the same port. */
export class NodePeers implements PeerDirectory {
  readonly #options: NodePeersOptions;
  readonly #listeners = new Set<() => void>();

  constructor(options: NodePeersOptions) {
    this.#options = options;
  }

  peers(): readonly Peer[] {
    const { localName, listenAddress, socketPath, clusterName, underlay, remoteNodes } = this.#options;
    if (listenAddress === "") return [{ name: peerName(clusterName, localName), address: `unix://${socketPath}` }];
    const own = underlay().map((ip) => ({ type: "InternalIP", ip }));
    return [{ name: localName, addresses: own }, ...remoteNodes()].flatMap((node) => this.#peerOf(node));
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** To be called when the node's addresses or the other nodes are different ones. */
  changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** A node without an address cannot be reached yet, and is left out. */
  #peerOf({ name, addresses }: PeerNode): Peer[] {
    const { clusterName, listenAddress, usesTls } = this.#options;
    const reachable = addresses.filter(({ type }) => type === "InternalIP" || type === "ExternalIP").map(({ ip }) => ip);
    const ip = reachable.find((text) => !text.includes(":")) ?? reachable[0];
    if (ip === undefined) return [];
    const address = `${ip.includes(":") ? `[${ip}]` : ip}:${parseListenAddress(listenAddress).port}`;
    const serverName = usesTls ? { tlsServerName: tlsServerName(clusterName, name) } : {};
    return [{ name: peerName(clusterName, name), address, ...serverName }];
  }
}
