import { fromBinary } from "@bufbuild/protobuf";
import type { Log } from "@cilium-ts/log";
import { type ClientTls, GrpcConnection, type GrpcTarget, grpcHeaderBytes, peerpb } from "@cilium-ts/observer";
import { type BackOff, type Clock, errorMessage } from "@cilium-ts/std";
import { type PeerAddress, RelayPeer, type RelayPeerOptions } from "./relay-peer.ts";

export interface PeerPoolOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Where the nodes are asked for: one service for each cluster. */
  readonly peerServices: ReadonlyArray<() => GrpcTarget>;
  readonly retryTimeoutMs: number;
  readonly backOff: BackOff;
  readonly clientTls: () => ClientTls | undefined;
  readonly connectTimeoutMs?: number;
  readonly pingIntervalMs?: number;
  /** After the peer service came back, nodes that it does not name within this time are gone. */
  readonly announceMs?: number;
}

type PeerService = PeerPoolOptions["peerServices"][number];

/** Nodes beyond this many are not connected to, and said once. */
const peerCountMax = 10_000;

/** The nodes of the cluster, each with its connection. */
export class PeerPool implements AsyncDisposable {
  readonly #options: PeerPoolOptions;
  readonly #peers = new Map<string, RelayPeer>();
  readonly #listeners = new Set<() => void>();
  readonly #leaving = new Set<Promise<void>>();
  /** Which services name a node, each with the address that it tells; the last is believed. */
  readonly #named = new Map<string, Map<PeerService, PeerAddress>>();
  readonly #connectedServices = new Set<PeerService>();

  constructor(options: PeerPoolOptions) {
    this.#options = options;
  }

  /** Whether a peer service is being listened to. */
  get serviceConnected(): boolean {
    return this.#connectedServices.size > 0;
  }

  peers(): readonly RelayPeer[] {
    return [...this.#peers.values()];
  }

  has(name: string): boolean {
    return this.#peers.has(name);
  }

  /** Calls the listener when a node comes, goes, connects or is lost. The returned function ends that. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Listens to the peer services until aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#options.peerServices.map((service) => this.#keepListening(service, signal)));
  }

  async #keepListening(service: PeerService, signal: AbortSignal): Promise<void> {
    const { clock, log, retryTimeoutMs } = this.#options;
    for (let said = ""; !signal.aborted; ) {
      try {
        await this.#listen(service, signal);
        said = "";
      } catch (cause) {
        const message = errorMessage(cause);
        if (message !== said && !signal.aborted)
          log.warn(`the peer service at ${service().address} does not tell the nodes, and is asked again: ${message}`);
        said = message;
      }
      if (this.#connectedServices.delete(service)) this.#changed();
      await clock.sleep(retryTimeoutMs, signal).catch(() => {}); // Rejects only on abort.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.#peers.keys()]) this.#remove(name);
    await Promise.all(this.#leaving);
  }

  async #listen(service: PeerService, signal: AbortSignal): Promise<void> {
    const { connectTimeoutMs: timeoutMs = 5_000, announceMs = 5_000 } = this.#options;
    await using connection = await GrpcConnection.open(service(), { timeoutMs, signal });
    this.#connectedServices.add(service);
    this.#changed();
    const unnamed = new Set([...this.#named].flatMap(([name, services]) => (services.has(service) ? [name] : [])));
    const timer = setTimeout(() => {
      for (const name of unnamed) this.#forget(service, name);
    }, announceMs);
    try {
      for await (const frames of connection.stream("/peer.Peer/Notify", new Uint8Array(0), { signal })) {
        for (const frame of frames) {
          const notification = fromBinary(peerpb.ChangeNotificationSchema, frame.subarray(grpcHeaderBytes));
          unnamed.delete(notification.name);
          this.#apply(service, notification);
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #apply(service: PeerService, { name, address, type, tls }: peerpb.ChangeNotification): void {
    if (type === peerpb.ChangeNotificationType.PEER_DELETED) this.#forget(service, name);
    else if (type !== peerpb.ChangeNotificationType.UNKNOWN) {
      const target: PeerAddress = { name, address, tlsServerName: tls?.serverName || undefined };
      if (!this.#set(target)) return;
      const services = this.#named.get(name) ?? new Map<PeerService, PeerAddress>();
      services.delete(service);
      this.#named.set(name, services.set(service, target));
    }
  }

  /** A node that no service names is gone. */
  #forget(service: PeerService, name: string): void {
    const services = this.#named.get(name);
    if (services?.delete(service) !== true) return;
    const target = [...services.values()].at(-1);
    if (target !== undefined) this.#set(target);
    else {
      this.#named.delete(name);
      this.#remove(name);
    }
  }

  /** False when there are too many. */
  #set(target: PeerAddress): boolean {
    const { clock, backOff, clientTls, connectTimeoutMs = 5_000, pingIntervalMs = 30_000, log } = this.#options;
    const before = this.#peers.get(target.name)?.target;
    if (before?.address === target.address && before.tlsServerName === target.tlsServerName) return true;
    if (before !== undefined) this.#remove(target.name);
    if (this.#peers.size >= peerCountMax) {
      log.error(`node ${target.name} is left out: ${peerCountMax} nodes are connected to already`);
      return false;
    }
    const onChange = (): void => this.#changed();
    const options: RelayPeerOptions = { clock, backOff, clientTls, connectTimeoutMs, pingIntervalMs, onChange };
    this.#peers.set(target.name, new RelayPeer(target, options));
    this.#changed();
    return true;
  }

  #remove(name: string): void {
    const peer = this.#peers.get(name);
    if (peer === undefined) return;
    this.#peers.delete(name);
    const leaving = peer[Symbol.asyncDispose]().finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
