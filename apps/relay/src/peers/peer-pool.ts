import { fromBinary } from "@bufbuild/protobuf";
import type { Log } from "@cilium-ts/log";
import { type ClientTls, GrpcConnection, type GrpcTarget, grpcHeaderBytes, peerpb } from "@cilium-ts/observer";
import { type BackOff, type Clock, errorMessage } from "@cilium-ts/std";
import { type PeerAddress, RelayPeer, type RelayPeerOptions } from "./relay-peer.ts";

export interface PeerPoolOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Where the nodes are asked for. */
  readonly peerService: () => GrpcTarget;
  readonly retryTimeoutMs: number;
  readonly backOff: BackOff;
  readonly clientTls: () => ClientTls | undefined;
  readonly connectTimeoutMs?: number;
  readonly pingIntervalMs?: number;
  /** After the peer service came back, nodes that it does not name within this time are gone. */
  readonly announceMs?: number;
}

/** Nodes beyond this many are not connected to, and said once. */
const peerCountMax = 10_000;

/** The nodes of the cluster, each with its connection. */
export class PeerPool implements AsyncDisposable {
  readonly #options: PeerPoolOptions;
  readonly #peers = new Map<string, RelayPeer>();
  readonly #listeners = new Set<() => void>();
  readonly #leaving = new Set<Promise<void>>();
  #serviceConnected = false;

  constructor(options: PeerPoolOptions) {
    this.#options = options;
  }

  /** Whether the peer service is being listened to. */
  get serviceConnected(): boolean {
    return this.#serviceConnected;
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

  /** Listens to the peer service until aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, retryTimeoutMs } = this.#options;
    for (let said = ""; !signal.aborted; ) {
      try {
        await this.#listen(signal);
        said = "";
      } catch (cause) {
        const message = errorMessage(cause);
        if (message !== said && !signal.aborted) log.warn(`the peer service does not tell the nodes, and is asked again: ${message}`);
        said = message;
      }
      this.#setServiceConnected(false);
      await clock.sleep(retryTimeoutMs, signal).catch(() => {}); // Rejects only on abort.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.#peers.keys()]) this.#remove(name);
    await Promise.all(this.#leaving);
  }

  async #listen(signal: AbortSignal): Promise<void> {
    const { peerService, connectTimeoutMs: timeoutMs = 5_000, announceMs = 5_000 } = this.#options;
    await using connection = await GrpcConnection.open(peerService(), { timeoutMs, signal });
    this.#setServiceConnected(true);
    const unnamed = new Set(this.#peers.keys());
    const timer = setTimeout(() => {
      for (const name of unnamed) this.#remove(name);
    }, announceMs);
    try {
      for await (const frames of connection.stream("/peer.Peer/Notify", new Uint8Array(0), { signal })) {
        for (const frame of frames) {
          const notification = fromBinary(peerpb.ChangeNotificationSchema, frame.subarray(grpcHeaderBytes));
          unnamed.delete(notification.name);
          this.#apply(notification);
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #apply({ name, address, type, tls }: peerpb.ChangeNotification): void {
    if (type === peerpb.ChangeNotificationType.PEER_DELETED) this.#remove(name);
    else if (type !== peerpb.ChangeNotificationType.UNKNOWN) this.#set({ name, address, tlsServerName: tls?.serverName || undefined });
  }

  #set(target: PeerAddress): void {
    const { clock, backOff, clientTls, connectTimeoutMs = 5_000, pingIntervalMs = 30_000, log } = this.#options;
    const before = this.#peers.get(target.name)?.target;
    if (before?.address === target.address && before.tlsServerName === target.tlsServerName) return;
    if (before !== undefined) this.#remove(target.name);
    if (this.#peers.size >= peerCountMax) {
      log.error(`node ${target.name} is left out: ${peerCountMax} nodes are connected to already`);
      return;
    }
    const onChange = (): void => this.#changed();
    const options: RelayPeerOptions = { clock, backOff, clientTls, connectTimeoutMs, pingIntervalMs, onChange };
    this.#peers.set(target.name, new RelayPeer(target, options));
    this.#changed();
  }

  #remove(name: string): void {
    const peer = this.#peers.get(name);
    if (peer === undefined) return;
    this.#peers.delete(name);
    const leaving = peer[Symbol.asyncDispose]().finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
    this.#changed();
  }

  #setServiceConnected(connected: boolean): void {
    if (this.#serviceConnected === connected) return;
    this.#serviceConnected = connected;
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}
