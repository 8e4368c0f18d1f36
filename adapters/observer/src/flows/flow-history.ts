import type { BlockSummary, EventBlock, FlowContext } from "@cilium-ts/flow";

/** What is kept of the flows that the ring no longer has. */
export interface FlowHistory {
  /** Everything up to the ring's newest event, oldest first: from the given block on. */
  blocks(fromNumber?: number): Promise<readonly HistoryBlock[]>;
}

/** Consecutive events. While it is the last it may grow. */
export interface HistoryBlock {
  /** Grows from the oldest to the newest. */
  readonly number: number;
  /** What the uuids of the events' ring begin with; another ring is another run of the agent. */
  readonly run: string;
  readonly firstSequence: number;
  /** In the ring, of the event that followed the last. */
  readonly endSequence: number;
  readonly count: number;
  /** Events in between that were seen and not kept. */
  readonly missed: number;
  /** Nanoseconds since the epoch; undefined while it grows. */
  readonly earliest: bigint | undefined;
  readonly latest: bigint | undefined;
  /** Its run ended in order, and nothing came after it. */
  readonly isLast: boolean;
  /** Undefined while it grows. */
  readonly summary: BlockSummary | undefined;
  /** Rejects when it cannot be had any more. */
  load(): Promise<{ readonly events: EventBlock; readonly context: FlowContext }>;
}
