import type { ConnectRouter } from "@connectrpc/connect";
import { ChangeNotificationType, Peer as PeerService } from "./gen/peer/peer_pb.js";

/** A node with a Hubble server. */
export interface Peer {
  /** `cluster/node`, or just `node` in the cluster named default. */
  readonly name: string;
  /** `host:port` or `unix:///path`. */
  readonly address: string;
  /** What its certificate must be valid for; absent where it serves plain text. */
  readonly tlsServerName?: string;
}

/** Who the nodes are, this one among them. */
export interface PeerDirectory {
  peers(): readonly Peer[];
  /** Calls the listener after any change. The returned function ends that. */
  watch(listener: () => void): () => void;
}

/** The name under which the relay knows a node. Flows name it `cluster/node` always. */
export function peerName(clusterName: string, nodeName: string): string {
  return clusterName === "default" ? nodeName : `${clusterName}/${nodeName}`;
}

/** What the certificate of a node's server is checked against: a name of its own below that of its cluster. */
export function tlsServerName(clusterName: string, nodeName: string): string {
  return `${nodeName.replaceAll(".", "-")}.${hubbleDomain(clusterName)}`;
}

/** Below this the servers of a cluster have their names. */
export function hubbleDomain(clusterName: string): string {
  return `${clusterName.replaceAll(".", "-")}.hubble-grpc.cilium.io`;
}

/**
 * Tells every subscriber the nodes, then what changes. A subscriber is compared with what is now and not with what happened, so a slow
 * one costs no memory and misses nothing that still holds.
 */
export function registerPeers(router: ConnectRouter, directory: PeerDirectory, serverSignal: AbortSignal): void {
  router.service(PeerService, {
    async *notify(_request, context) {
      const signal = AbortSignal.any([context.signal, serverSignal]);
      const told = new Map<string, Peer>();
      let changed = Promise.withResolvers<void>();
      const wake = (): void => changed.resolve();
      const leave = directory.watch(wake);
      signal.addEventListener("abort", wake, { once: true });
      try {
        while (!signal.aborted) {
          changed = Promise.withResolvers<void>();
          yield* differences(told, directory.peers());
          if (!signal.aborted) await changed.promise;
        }
      } finally {
        leave();
        signal.removeEventListener("abort", wake);
      }
    },
  });
}

interface Change {
  readonly name: string;
  readonly address: string;
  readonly type: ChangeNotificationType;
  readonly tls?: { readonly serverName: string };
}

function* differences(told: Map<string, Peer>, peers: readonly Peer[]): Generator<Change> {
  const names = new Set(peers.map(({ name }) => name));
  for (const peer of [...told.values()]) {
    if (names.has(peer.name)) continue;
    told.delete(peer.name);
    yield change(peer, ChangeNotificationType.PEER_DELETED);
  }
  for (const peer of peers) {
    const before = told.get(peer.name);
    if (before !== undefined && before.address === peer.address && before.tlsServerName === peer.tlsServerName) continue;
    told.set(peer.name, peer);
    yield change(peer, before === undefined ? ChangeNotificationType.PEER_ADDED : ChangeNotificationType.PEER_UPDATED);
  }
}

function change({ name, address, tlsServerName: serverName }: Peer, type: ChangeNotificationType): Change {
  return { name, address, type, ...(serverName === undefined ? {} : { tls: { serverName } }) };
}
