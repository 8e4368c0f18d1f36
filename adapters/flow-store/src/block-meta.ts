import type { BlockGap, WrittenSummary } from "@cilium-ts/flow";
import { FlowStoreError } from "./errors.ts";

/** What is known of a block without opening it. */
export interface BlockMeta {
  /** What the uuids of its ring begin with: one for each run of the agent. */
  readonly run: string;
  readonly firstSequence: number;
  /** Of the event that follows the last. */
  readonly endSequence: number;
  readonly count: number;
  readonly gaps: readonly BlockGap[];
  /** CLOCK_MONOTONIC ns. */
  readonly earliestNs: number;
  readonly latestNs: number;
  /** To be added for CLOCK_REALTIME; a 64-bit number as text. */
  readonly wallClockOffsetNs: string;
  /** The run ended in order, and this is all. */
  readonly isLast: boolean;
  readonly summary: WrittenSummary;
}

/** Throws a FlowStoreError on what is none. */
export function readBlockMeta(value: unknown): BlockMeta {
  const meta = value as BlockMeta;
  if (!Number.isSafeInteger(meta.count) || typeof meta.run !== "string" || !Array.isArray(meta.gaps))
    throw new FlowStoreError("its description is of another kind");
  return meta;
}
