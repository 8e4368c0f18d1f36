import { type ClientTls, GrpcConnection, type GrpcTarget } from "@cilium-ts/observer";
import { type BackOff, type Clock, errorMessage } from "@cilium-ts/std";

/** A node as the peer service announces it. */
export interface PeerAddress {
  readonly name: string;
  readonly address: string;
  /** Absent: it serves plain text. */
  readonly tlsServerName: string | undefined;
}

export interface RelayPeerOptions {
  readonly clock: Clock;
  readonly backOff: BackOff;
  /** Undefined: the relay has no certificates, or was told to do without. */
  readonly clientTls: () => ClientTls | undefined;
  readonly connectTimeoutMs: number;
  /** How often a silent connection is asked whether it lives. */
  readonly pingIntervalMs: number;
  readonly onChange: () => void;
}

export type PeerState =
  | { readonly kind: "connecting" }
  | { readonly kind: "connected"; readonly connection: GrpcConnection }
  | { readonly kind: "unavailable"; readonly reason: string };

/** One node: keeps a connection to it until closed. */
export class RelayPeer implements AsyncDisposable {
  readonly target: PeerAddress;
  readonly #options: RelayPeerOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #state: PeerState = { kind: "connecting" };

  constructor(target: PeerAddress, options: RelayPeerOptions) {
    this.target = target;
    this.#options = options;
    this.#running = this.#run();
  }

  get name(): string {
    return this.target.name;
  }

  get state(): PeerState {
    return this.#state;
  }

  get connection(): GrpcConnection | undefined {
    return this.#state.kind === "connected" && !this.#state.connection.isClosed ? this.#state.connection : undefined;
  }

  /** Aborted when the node is no peer any more. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, backOff } = this.#options;
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.#serveConnection(signal, () => {
          failures = 0;
        });
        this.#become({ kind: "unavailable", reason: "the connection was lost" });
      } catch (cause) {
        this.#become({ kind: "unavailable", reason: errorMessage(cause) });
      }
      failures += 1;
      await clock.sleep(backOff.delayMs(failures), signal).catch(() => {}); // Rejects only on abort.
    }
  }

  async #serveConnection(signal: AbortSignal, onConnected: () => void): Promise<void> {
    const { connectTimeoutMs: timeoutMs } = this.#options;
    await using connection = await GrpcConnection.open(this.#target(), { timeoutMs, signal });
    this.#become({ kind: "connected", connection });
    onConnected();
    const ended = AbortSignal.any([signal]);
    let open = true;
    const closed = connection.closed.then(() => {
      open = false;
    });
    while (open && !ended.aborted) {
      await Promise.race([closed, this.#pause(signal)]);
      if (open && !signal.aborted && !(await connection.ping(timeoutMs))) return;
    }
  }

  /** Resolves after the interval or when the node is given up; the timer does not outlive either. */
  #pause(signal: AbortSignal): Promise<void> {
    const { clock, pingIntervalMs } = this.#options;
    return clock.sleep(pingIntervalMs, signal).catch(() => {});
  }

  #target(): GrpcTarget {
    const { address, tlsServerName } = this.target;
    const tls = this.#options.clientTls();
    if (tlsServerName === undefined && tls === undefined) return { address };
    if (tls === undefined) throw new Error(`node ${this.name} serves by TLS, and the relay has no client certificate: give it one`);
    if (tlsServerName === undefined)
      throw new Error(`node ${this.name} serves plain text, and the relay is to use TLS: see disable-client-tls`);
    return { address, tls: { ...tls, serverName: tlsServerName } };
  }

  #become(state: PeerState): void {
    const before = this.#state;
    this.#state = state;
    if (before.kind !== state.kind) this.#options.onChange();
  }
}
