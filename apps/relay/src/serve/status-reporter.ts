import type { PeerPool } from "../peers/peer-pool.ts";
import { NodeState, nodeStatusFrame } from "./node-status.ts";

/** Errors of nodes with one text are told together when they come within this time. */
const errorWindowMs = 1_000;
/** Texts remembered within one window; more are told as one. */
const errorTextsMax = 100;

/** What one client has been told about the nodes, and what is to be told. */
export class StatusReporter {
  readonly #pool: PeerPool;
  readonly #nodeName: string;
  readonly #nowMs: () => number;
  #connected = new Set<string>();
  #unavailable = new Set<string>();
  readonly #errors = new Map<string, Set<string>>();
  #errorsSinceMs = Number.POSITIVE_INFINITY;

  constructor(options: { pool: PeerPool; nodeName: string; nowMs: () => number }) {
    this.#pool = options.pool;
    this.#nodeName = options.nodeName;
    this.#nowMs = options.nowMs;
  }

  noteError(node: string, message: string): void {
    const text = this.#errors.size < errorTextsMax || this.#errors.has(message) ? message : "further errors";
    const nodes = this.#errors.get(text) ?? new Set();
    this.#errors.set(text, nodes.add(node));
    this.#errorsSinceMs = Math.min(this.#errorsSinceMs, this.#nowMs());
  }

  /** When there will be something to tell if nothing else happens; Infinity for never. */
  get dueMs(): number {
    return this.#errorsSinceMs + errorWindowMs;
  }

  /** What changed since the last time. `all`: errors too, however fresh. */
  take(all: boolean): Uint8Array[] {
    const [connected, unavailable] = [new Set<string>(), new Set<string>()];
    for (const peer of this.#pool.peers()) {
      if (peer.connection !== undefined) connected.add(peer.name);
      else if (peer.state.kind === "unavailable" || all || this.#unavailable.has(peer.name)) unavailable.add(peer.name);
    }
    const gone = [...this.#connected, ...this.#unavailable].filter((name) => !this.#pool.has(name));
    const frames = [
      ...this.#frame(
        NodeState.NODE_CONNECTED,
        [...connected].filter((name) => !this.#connected.has(name)),
      ),
      ...this.#frame(
        NodeState.NODE_UNAVAILABLE,
        [...unavailable].filter((name) => !this.#unavailable.has(name)),
      ),
      ...this.#frame(NodeState.NODE_GONE, gone),
    ];
    this.#connected = connected;
    this.#unavailable = unavailable;
    if (all || this.#nowMs() >= this.dueMs) frames.push(...this.#takeErrors());
    return frames;
  }

  #takeErrors(): Uint8Array[] {
    const frames = [...this.#errors].flatMap(([message, nodes]) => this.#frame(NodeState.NODE_ERROR, [...nodes], message));
    this.#errors.clear();
    this.#errorsSinceMs = Number.POSITIVE_INFINITY;
    return frames;
  }

  #frame(state: (typeof NodeState)[keyof typeof NodeState], names: readonly string[], message = ""): Uint8Array[] {
    if (names.length === 0) return [];
    return [nodeStatusFrame(state, [...names].sort(), message, { nodeName: this.#nodeName, nowMs: this.#nowMs() })];
  }
}
