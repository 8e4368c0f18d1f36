import { type BackOff, type Clock, createBackOff } from "@cilium-ts/std";
import type { HeldMessages, Message } from "../merge/held-messages.ts";
import type { PeerPool } from "../peers/peer-pool.ts";
import type { RelayPeer } from "../peers/relay-peer.ts";

export interface LiveFeedOptions {
  readonly pool: PeerPool;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly held: HeldMessages;
  readonly heldMax: number;
  /** Streams of nodes end by themselves, and with the last of them the feed does. */
  readonly endsWithPeers: boolean;
  readonly ask: (peer: RelayPeer, signal: AbortSignal) => AsyncGenerator<readonly Message[], void>;
  readonly onFailure: (name: string, cause: unknown) => void;
}

/** Passes are at least so far apart: what comes in between goes out together. */
const passIntervalMs = 10;
const heldBytesMax = 2_097_152;

/** What happens on all nodes from now on: follows each that is connected, those that come later too, and each again after it was lost. */
export class LiveFeed implements AsyncDisposable {
  readonly #options: LiveFeedOptions;
  readonly #stop = new AbortController();
  readonly #backOff: BackOff = createBackOff({ delayMsMin: 100, delayMsMax: 5_000 });
  /** By node: the stream that is read, or waited for after a failure. */
  readonly #reading = new Map<RelayPeer, Promise<void>>();
  readonly #finished = new WeakSet<RelayPeer>();
  #leavePool: (() => void) | undefined;
  #news = Promise.withResolvers<void>();
  #room = Promise.withResolvers<void>();

  constructor(options: LiveFeedOptions) {
    this.#options = options;
  }

  start(): this {
    this.#leavePool = this.#options.pool.watch(() => this.#follow());
    this.#options.signal.addEventListener("abort", this.#wake, { once: true });
    this.#follow();
    return this;
  }

  get sourceCount(): number {
    return this.#reading.size;
  }

  get firstTimeMs(): number {
    return this.#options.held.firstTimeMs;
  }

  /** Whether nothing will come any more. */
  get ended(): boolean {
    return this.#options.endsWithPeers && this.#reading.size === 0 && this.#options.held.size === 0;
  }

  /** Messages that happened until the given time, in order. All of them when there is no room for more. */
  take(untilMs: number): Message[] {
    const { held } = this.#options;
    const taken = held.takeUntil(
      this.#isFull() || (this.#options.endsWithPeers && this.#reading.size === 0) ? Number.POSITIVE_INFINITY : untilMs,
    );
    if (!this.#isFull()) {
      this.#room.resolve();
      this.#room = Promise.withResolvers();
    }
    return taken;
  }

  /** Until something new came, or the given time. */
  async wait(untilMs: number): Promise<void> {
    const { clock } = this.#options;
    const startedMs = clock.nowMs();
    const timer = untilMs === Number.POSITIVE_INFINITY ? undefined : setTimeout(this.#wake, Math.max(1, untilMs - startedMs));
    await this.#news.promise;
    clearTimeout(timer);
    const pauseMs = startedMs + passIntervalMs - clock.nowMs();
    if (pauseMs > 0 && !this.#isFull()) await clock.sleep(pauseMs, this.#options.signal).catch(() => {}); // Rejects only on abort.
    this.#news = Promise.withResolvers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#leavePool?.();
    this.#options.signal.removeEventListener("abort", this.#wake);
    this.#room.resolve();
    await Promise.all(this.#reading.values());
  }

  readonly #wake = (): void => this.#news.resolve();

  #isFull(): boolean {
    const { held, heldMax } = this.#options;
    return held.size >= heldMax || held.sizeBytes >= heldBytesMax;
  }

  #follow(): void {
    for (const peer of this.#options.pool.peers()) {
      if (this.#reading.has(peer) || this.#finished.has(peer) || peer.connection === undefined || this.#stop.signal.aborted) continue;
      const reading = this.#read(peer).finally(() => {
        this.#reading.delete(peer);
        this.#wake();
      });
      this.#reading.set(peer, reading);
    }
    this.#wake();
  }

  /** Until the node is lost for good: one whose connection is made anew is followed again by the pool's word. */
  async #read(peer: RelayPeer): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, this.#options.signal, peer.signal]);
    for (let failures = 0; !signal.aborted && peer.connection !== undefined; ) {
      try {
        for await (const messages of this.#options.ask(peer, signal)) {
          failures = 0;
          await this.#hold(messages, signal);
        }
        if (this.#options.endsWithPeers) {
          this.#finished.add(peer);
          return;
        }
      } catch (cause) {
        if (!signal.aborted && peer.connection !== undefined) this.#options.onFailure(peer.name, cause);
      }
      failures += 1;
      this.#wake();
      await this.#options.clock.sleep(this.#backOff.delayMs(failures), signal).catch(() => {}); // Rejects only on abort.
    }
  }

  /** Waits for room first: a client that does not read makes the nodes wait. */
  async #hold(messages: readonly Message[], signal: AbortSignal): Promise<void> {
    while (this.#isFull() && !signal.aborted) await this.#room.promise;
    for (const message of messages) this.#options.held.add(message);
    this.#wake();
  }
}
