import { setImmediate as nextTurn } from "node:timers/promises";
import {
  askEverything,
  type BlockOrigin,
  ContextRecorder,
  EndpointResolver,
  EventBlock,
  EventView,
  type FlowContext,
  type FlowRing,
  journalText,
  SummaryCollector,
} from "@cilium-ts/flow";
import type { BlockMeta } from "./block-meta.ts";
import type { TailEntry } from "./tail-files.ts";

/** Events explained before others get their turn on the thread. */
const turnEventsMax = 1_000;

/** A block that is being filled: its events come at once, and are explained and summed up a little later. */
export class GrowingBlock {
  readonly events: EventBlock;
  readonly openedMs: number;
  readonly tailPath: string;
  readonly #recorder: ContextRecorder;
  readonly #event: EventView;
  readonly #summary = new SummaryCollector();
  readonly wallClockOffsetNs: bigint;
  readonly #onEvent: ((event: EventView) => void) | undefined;
  #explained = 0;
  #earliestNs = Number.POSITIVE_INFINITY;
  #latestNs = Number.NEGATIVE_INFINITY;
  /** How much of it is in the tail file. */
  #tailed = { values: 0, rows: 0, sizeBytes: 0, gaps: 0 };

  constructor(options: {
    readonly sizeBytes: number;
    readonly origin: BlockOrigin;
    readonly context: FlowContext;
    readonly openedMs: number;
    readonly tailPath: string;
    readonly onEvent?: (event: EventView) => void;
  }) {
    const { sizeBytes, origin, context, openedMs, tailPath, onEvent } = options;
    this.events = EventBlock.empty(sizeBytes, origin);
    this.openedMs = openedMs;
    this.tailPath = tailPath;
    this.#recorder = new ContextRecorder(context);
    this.#event = new EventView(new EndpointResolver(this.#recorder));
    this.wallClockOffsetNs = context.wallClockOffsetNs;
    this.#onEvent = onEvent;
  }

  /** A copy of the ring's events, as many as there is room for. Returns the first that was not taken. */
  take(ring: FlowRing, start: number, end: number): number {
    return this.events.append(ring, start, end);
  }

  /** Learns of every event taken so far what it was explained with. */
  async explain(): Promise<void> {
    while (this.#explained < this.events.count) {
      const end = Math.min(this.events.count, this.#explained + turnEventsMax);
      for (; this.#explained < end; this.#explained += 1) this.#explainOne(this.#explained);
      if (this.#explained < this.events.count) await nextTurn();
    }
  }

  /** What the tail file does not have yet; undefined when it has everything. */
  takeTail(): { readonly entry: TailEntry; readonly frames: Uint8Array } | undefined {
    const { gaps, origin, sizeBytes } = this.events;
    if (sizeBytes === this.#tailed.sizeBytes && gaps.length === this.#tailed.gaps) return undefined;
    const entry = {
      origin,
      gaps: [...gaps],
      wallClockOffsetNs: String(this.wallClockOffsetNs),
      journal: this.#recorder.journal(this.#tailed),
    };
    const frames = this.events.bytesFrom(this.#tailed.sizeBytes);
    const { valueCount: values, rowCount: rows } = this.#recorder;
    this.#tailed = { values, rows, sizeBytes, gaps: gaps.length };
    return { entry, frames };
  }

  /** Of a block that is complete and explained. */
  seal(isLast: boolean): { readonly meta: BlockMeta; readonly journal: string; readonly frames: Uint8Array } {
    const { events } = this;
    const openedNs = Number(BigInt(this.openedMs) * 1_000_000n - this.wallClockOffsetNs);
    const meta: BlockMeta = {
      run: events.origin.uuidPrefix,
      firstSequence: events.origin.firstSequence,
      endSequence: events.sequenceOf(events.count),
      count: events.count,
      gaps: events.gaps,
      earliestNs: events.count === 0 ? openedNs : this.#earliestNs,
      latestNs: events.count === 0 ? openedNs : this.#latestNs,
      wallClockOffsetNs: String(this.wallClockOffsetNs),
      isLast,
      summary: this.#summary.take(),
    };
    return { meta, journal: journalText(this.#recorder.journal()), frames: events.bytesFrom(0) };
  }

  #explainOne(index: number): void {
    const event = this.#event;
    const timeNs = this.events.timeNsOf(index);
    if (timeNs < this.#earliestNs) this.#earliestNs = timeNs;
    if (timeNs > this.#latestNs) this.#latestNs = timeNs;
    if (!event.load(this.events, index) || event.isLost) return;
    askEverything(event);
    this.#summary.add(event);
    this.#onEvent?.(event);
  }
}
