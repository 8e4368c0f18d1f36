import type { AgentEvent } from "./agent-event.ts";

const capacityDefault = 4_095;

/**
 * The last events of the agent. Apart from those of the datapath, so that neither a busy network pushes out what the agent did, nor the
 * other way round; and so that the last N flows are N flows. A sequence number names an event for ever.
 */
export class AgentEventRing {
  readonly capacity: number;
  readonly #nowNs: () => number;
  readonly #events: Array<{ readonly timeNs: number; readonly event: AgentEvent }> = [];
  readonly #listeners = new Set<() => void>();
  #next = 0;

  /** CLOCK_MONOTONIC, the clock of all events. */
  constructor(nowNs: () => number, capacity = capacityDefault) {
    this.#nowNs = nowNs;
    this.capacity = capacity;
  }

  /** Sequence of the oldest event that can be read. */
  get firstSequence(): number {
    return Math.max(0, this.#next - this.capacity);
  }

  get nextSequence(): number {
    return this.#next;
  }

  append(event: AgentEvent): void {
    this.#events[this.#next % this.capacity] = { timeNs: this.#nowNs(), event };
    this.#next += 1;
    for (const listener of this.#listeners) listener();
  }

  /** Undefined when it was overwritten. */
  eventOf(sequence: number): AgentEvent | undefined {
    return sequence < this.firstSequence ? undefined : this.#events[sequence % this.capacity]?.event;
  }

  timeNsOf(sequence: number): number {
    return this.#events[sequence % this.capacity]?.timeNs ?? 0;
  }

  /** Who waits for the next append. */
  get listenerCount(): number {
    return this.#listeners.size;
  }

  /** Calls the listener after every append. The returned function ends that. */
  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
