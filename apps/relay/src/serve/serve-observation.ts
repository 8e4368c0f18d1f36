import { GrpcCode, GrpcError, type StreamCall } from "@cilium-ts/observer";
import { type Clock, errorMessage } from "@cilium-ts/std";
import { HeldMessages, type Message } from "../merge/held-messages.ts";
import { type HistorySource, mergeHistory } from "../merge/history-merge.ts";
import { NewestMessages } from "../merge/newest-messages.ts";
import { ResumePoint } from "../merge/resume-point.ts";
import type { PeerPool } from "../peers/peer-pool.ts";
import type { RelayPeer } from "../peers/relay-peer.ts";
import { LiveFeed } from "./live-feed.ts";
import { lostFrame } from "./node-status.ts";
import type { Observation } from "./observation.ts";
import { peerMessages } from "./peer-messages.ts";
import { StatusReporter } from "./status-reporter.ts";

export interface ObservationOptions {
  readonly pool: PeerPool;
  readonly clock: Clock;
  /** The relay's host, as the sender of node statuses. */
  readonly nodeName: string;
  /** How long a message is held for others to find their place before it. */
  readonly holdMs: number;
  /** Messages held at most; then nodes wait. */
  readonly heldMax: number;
  readonly stallTimeoutMs: number;
  readonly onMessages?: (count: number) => void;
}

/** For the last N: what is more than this is told as lost. */
const newestBytesMax = 67_108_864;

/** Asks every node and passes on what they answer, in order, until everything is told or the client leaves. */
export async function serveObservation(
  observation: Observation,
  call: StreamCall,
  signal: AbortSignal,
  options: ObservationOptions,
): Promise<void> {
  await new ObservationCall(observation, call, signal, options).serve();
}

class ObservationCall {
  readonly #observation: Observation;
  readonly #call: StreamCall;
  readonly #signal: AbortSignal;
  readonly #options: ObservationOptions;
  readonly #reporter: StatusReporter;
  readonly #resumes = new Map<string, ResumePoint>();
  readonly #metadata: Record<string, string>;
  readonly #startedMs: number;
  /** A node's refusal of the request itself, which is the answer for all. */
  #refusal: GrpcError | undefined;

  constructor(observation: Observation, call: StreamCall, signal: AbortSignal, options: ObservationOptions) {
    this.#observation = observation;
    this.#call = call;
    this.#signal = signal;
    this.#options = options;
    const nowMs = (): number => options.clock.nowMs();
    this.#startedMs = nowMs();
    this.#reporter = new StatusReporter({ pool: options.pool, nodeName: options.nodeName, nowMs });
    this.#metadata = forwarded(call.headers);
  }

  async serve(): Promise<void> {
    const { follow, number, hasSince, path } = this.#observation;
    const tellsStatus = path === "/observer.Observer/GetFlows";
    this.#call.open();
    const peers = this.#options.pool.peers().filter(({ connection }) => connection !== undefined);
    if (tellsStatus) await this.#write(this.#reporter.take(true));
    const hasHistory = !follow || number > 0 || hasSince;
    if (hasHistory) await this.#serveHistory(peers);
    if (this.#refusal !== undefined) throw this.#refusal;
    if (follow && !this.#signal.aborted) await this.#serveLive(peers, hasHistory, tellsStatus);
    if (tellsStatus && !this.#signal.aborted) await this.#write(this.#reporter.take(true));
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  async #serveHistory(peers: readonly RelayPeer[]): Promise<void> {
    const { number, first, follow, hasSince } = this.#observation;
    const stop = new AbortController();
    const sources = peers.map((peer) => this.#historyOf(peer, AbortSignal.any([this.#signal, stop.signal, peer.signal])));
    const { stallTimeoutMs } = this.#options;
    const onStalled = (name: string): void =>
      this.#reporter.noteError(name, `it does not answer, or takes too long to search: others were not made to wait`);
    // As on a node: `since` with a number gives the oldest after that time, unless new ones are to follow.
    const newest = number > 0 && !first && !hasSince ? new NewestMessages(number, newestBytesMax) : undefined;
    let left = number === 0 || follow ? Number.POSITIVE_INFINITY : number;
    for await (const messages of mergeHistory({ sources, stallTimeoutMs, onStalled })) {
      if (this.#signal.aborted || this.#refusal !== undefined) break;
      if (newest === undefined) {
        const chosen = left === Number.POSITIVE_INFINITY ? messages : takeCounted(messages, left);
        left -= chosen.reduce((count, { kind }) => count + (kind === 1 ? 1 : 0), 0);
        await this.#write(chosen.map(({ frame }) => frame));
        if (left === 0) break;
      } else for (const message of messages) newest.add(message);
    }
    stop.abort();
    if (newest === undefined || this.#refusal !== undefined) return;
    const lost =
      newest.tooMany === 0 ? [] : [lostFrame(newest.tooMany, { nodeName: this.#options.nodeName, nowMs: this.#options.clock.nowMs() })];
    await this.#write([...lost, ...newest.take().map(({ frame }) => frame)]);
  }

  #historyOf(peer: RelayPeer, signal: AbortSignal): HistorySource {
    const stop = new AbortController();
    const batches = this.#ask(peer, this.#observation.history(), AbortSignal.any([signal, stop.signal]));
    return {
      name: peer.name,
      cancel: () => stop.abort(),
      isAlive: async () => (await peer.connection?.ping(this.#options.stallTimeoutMs)) ?? false,
      next: async () => {
        try {
          const { value } = await batches.next();
          return value ?? undefined;
        } catch (cause) {
          this.#noteFailure(peer.name, cause);
          return undefined;
        }
      },
    };
  }

  async *#ask(peer: RelayPeer, request: Uint8Array, signal: AbortSignal): AsyncGenerator<Message[], void> {
    const { connection } = peer;
    if (connection === undefined) throw new GrpcError(GrpcCode.unavailable, "the connection was lost");
    const nowMs = (): number => this.#options.clock.nowMs();
    const resume = this.#resumeOf(peer.name);
    yield* peerMessages({ connection, path: this.#observation.path, request, resume, nowMs, signal, metadata: this.#metadata });
  }

  #resumeOf(name: string): ResumePoint {
    let point = this.#resumes.get(name);
    if (point === undefined) {
      point = new ResumePoint(this.#startedMs);
      this.#resumes.set(name, point);
    }
    return point;
  }

  async #serveLive(connected: readonly RelayPeer[], hadHistory: boolean, tellsStatus: boolean): Promise<void> {
    const { pool, clock, holdMs, heldMax } = this.#options;
    const fromNow = new Set(hadHistory ? [] : connected.map(({ name }) => name));
    const feed = new LiveFeed({
      pool,
      clock,
      signal: this.#signal,
      held: new HeldMessages(),
      heldMax,
      endsWithPeers: this.#observation.hasUntil,
      ask: (peer, signal) => {
        const sinceMs = fromNow.delete(peer.name) ? undefined : this.#resumeOf(peer.name).sinceMs;
        return this.#ask(peer, this.#observation.live(sinceMs), signal);
      },
      onFailure: (name, cause) => this.#noteFailure(name, cause),
    });
    await using running = feed.start();
    while (!this.#signal.aborted && this.#refusal === undefined) {
      const statuses = tellsStatus ? this.#reporter.take(false) : [];
      // What comes from one node alone is in order already.
      const taken: Message[] = running.take(clock.nowMs() - (running.sourceCount > 1 ? holdMs : 0));
      await this.#write([...statuses, ...taken.map(({ frame }) => frame)]);
      if (running.ended) return;
      await running.wait(Math.min(running.firstTimeMs + holdMs, tellsStatus ? this.#reporter.dueMs : Number.POSITIVE_INFINITY));
    }
  }

  #noteFailure(name: string, cause: unknown): void {
    if (cause instanceof GrpcError && cause.code === GrpcCode.invalidArgument) this.#refusal ??= cause;
    else this.#reporter.noteError(name, errorMessage(cause));
  }

  async #write(frames: readonly Uint8Array[]): Promise<void> {
    if (frames.length === 0 || this.#signal.aborted) return;
    this.#options.onMessages?.(frames.length);
    await this.#call.write(frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames));
  }
}

/** As many of what was asked for, with the losses told in between. */
function takeCounted(messages: readonly Message[], countMax: number): readonly Message[] {
  let count = 0;
  for (const [index, { kind }] of messages.entries()) {
    if (kind === 1) count += 1;
    if (count === countMax) return messages.slice(0, index + 1);
  }
  return messages;
}

/** Metadata of the client that is not about the connection itself: authorization and the like. */
function forwarded(headers: StreamCall["headers"]): Record<string, string> {
  const skipped = /^(:|te$|content-|grpc-|user-agent$|accept|host$|connection$)/;
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (skipped.test(name) || typeof value !== "string" ? [] : [[name, value]])),
  );
}
