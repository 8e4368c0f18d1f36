import type { Message } from "./held-messages.ts";

/** One node's history, earliest first, as it comes. */
export interface HistorySource {
  readonly name: string;
  /** Undefined at the end. Never rejects: a source that fails has ended. */
  next(): Promise<readonly Message[] | undefined>;
  /** Asks it whether it is there at all. */
  isAlive(): Promise<boolean>;
  /** Gives up the rest. */
  cancel(): void;
}

export interface HistoryMergeOptions {
  readonly sources: readonly HistorySource[];
  /** How long all the others wait for one that does not answer; for one that is searching, six times as long. */
  readonly stallTimeoutMs: number;
  readonly onStalled: (name: string) => void;
}

/** A node that looks through millions of flows for one has nothing to tell meanwhile. */
const searchTimeouts = 6;

interface Lane {
  readonly source: HistorySource;
  batch: readonly Message[];
  at: number;
}

/**
 * The histories of all nodes as one, in order: nothing is given before every node has told what it has for that time. Holds one batch of
 * each node, whatever is asked for.
 */
export async function* mergeHistory({ sources, stallTimeoutMs, onStalled }: HistoryMergeOptions): AsyncGenerator<Message[], void> {
  const lanes: Lane[] = sources.map((source) => ({ source, batch: [], at: 0 }));
  try {
    for (;;) {
      await Promise.all(lanes.filter(({ at, batch }) => at === batch.length).map((lane) => fill(lane, lanes, stallTimeoutMs, onStalled)));
      if (lanes.length === 0) return;
      yield takeUntilOneIsEmpty(lanes);
    }
  } finally {
    for (const { source } of lanes) source.cancel();
  }
}

/** Leaves out a source that has ended or stalls. */
async function fill(lane: Lane, lanes: Lane[], timeoutMs: number, onStalled: (name: string) => void): Promise<void> {
  const next = lane.source.next();
  let batch = await within(next, timeoutMs);
  for (let waited = 1; batch === "late" && waited < searchTimeouts && (await lane.source.isAlive()); waited += 1)
    batch = await within(next, timeoutMs);
  if (batch !== undefined && batch !== "late") {
    lane.batch = batch;
    lane.at = 0;
    return;
  }
  lanes.splice(lanes.indexOf(lane), 1);
  if (batch !== "late") return;
  onStalled(lane.source.name);
  lane.source.cancel();
}

async function within<T>(next: Promise<T>, timeoutMs: number): Promise<T | "late"> {
  const { promise: late, resolve } = Promise.withResolvers<"late">();
  const timer = setTimeout(() => resolve("late"), timeoutMs);
  const first = await Promise.race([next, late]);
  clearTimeout(timer);
  return first;
}

function takeUntilOneIsEmpty(lanes: readonly Lane[]): Message[] {
  const merged: Message[] = [];
  for (;;) {
    let earliest: Lane | undefined;
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const lane of lanes) {
      const message = lane.batch[lane.at];
      if (message === undefined) return merged;
      if (earliest !== undefined && message.timeMs >= earliestMs) continue;
      earliest = lane;
      earliestMs = message.timeMs;
    }
    const message = earliest?.batch[earliest.at];
    if (earliest === undefined || message === undefined) return merged;
    merged.push(message);
    earliest.at += 1;
  }
}
