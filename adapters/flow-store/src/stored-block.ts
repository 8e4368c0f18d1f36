import { type BlockSummary, EventBlock, type FlowContext, parseJournal, RecordedContext, readSummary } from "@cilium-ts/flow";
import type { BlockMeta } from "./block-meta.ts";
import type { GrowingBlock } from "./growing-block.ts";
import type { BlockPlace, SegmentFiles } from "./segment-files.ts";

/** The events of a block, with what explains them. */
export interface BlockContent {
  readonly events: EventBlock;
  readonly context: FlowContext;
}

/** A block of history, wherever it is now: being filled, on its way to the disk, or there. */
export interface StoredBlock {
  /** Grows from the oldest to the newest. */
  readonly number: number;
  /** What the uuids of its ring begin with: one for each run of the agent. */
  readonly run: string;
  readonly firstSequence: number;
  readonly endSequence: number;
  readonly count: number;
  /** Events in between that were seen and not kept. */
  readonly missed: number;
  /** Nanoseconds since the epoch; undefined while it is being filled. */
  readonly earliest: bigint | undefined;
  readonly latest: bigint | undefined;
  /** Its run ended in order, and nothing came after it. */
  readonly isLast: boolean;
  /** Undefined while it is being filled. */
  readonly summary: BlockSummary | undefined;
  /** Rejects when the disk cannot give it back. */
  load(): Promise<BlockContent>;
}

/** In memory. */
export class BlockInMemory implements StoredBlock {
  readonly number: number;
  readonly growing: GrowingBlock;
  readonly #context: FlowContext;
  readonly earliest = undefined;
  readonly latest = undefined;
  readonly isLast = false;
  readonly summary = undefined;

  constructor(number: number, growing: GrowingBlock, context: FlowContext) {
    this.number = number;
    this.growing = growing;
    this.#context = context;
  }

  get run(): string {
    return this.growing.events.origin.uuidPrefix;
  }

  get firstSequence(): number {
    return this.growing.events.origin.firstSequence;
  }

  get endSequence(): number {
    return this.growing.events.sequenceOf(this.count);
  }

  get count(): number {
    return this.growing.events.count;
  }

  get missed(): number {
    return this.growing.events.missed;
  }

  async load(): Promise<BlockContent> {
    return { events: this.growing.events, context: this.#context };
  }
}

/** On the disk. */
export class BlockOnDisk implements StoredBlock {
  readonly number: number;
  readonly place: BlockPlace;
  readonly run: string;
  readonly firstSequence: number;
  readonly endSequence: number;
  readonly count: number;
  readonly missed: number;
  readonly earliest: bigint;
  readonly latest: bigint;
  readonly isLast: boolean;
  readonly summary: BlockSummary;
  readonly #gaps: BlockMeta["gaps"];
  readonly #wallClockOffsetNs: bigint;
  readonly #read: (block: BlockOnDisk) => ReturnType<SegmentFiles["read"]>;

  constructor(number: number, place: BlockPlace, meta: BlockMeta, read: (block: BlockOnDisk) => ReturnType<SegmentFiles["read"]>) {
    this.number = number;
    this.place = place;
    this.run = meta.run;
    this.firstSequence = meta.firstSequence;
    this.endSequence = meta.endSequence;
    this.count = meta.count;
    this.missed = meta.gaps.reduce((sum, [, missed]) => sum + missed, 0);
    this.isLast = meta.isLast;
    this.summary = readSummary(meta.summary);
    this.#gaps = meta.gaps;
    this.#wallClockOffsetNs = BigInt(meta.wallClockOffsetNs);
    this.earliest = BigInt(Math.round(meta.earliestNs)) + this.#wallClockOffsetNs;
    this.latest = BigInt(Math.round(meta.latestNs)) + this.#wallClockOffsetNs;
    this.#read = read;
  }

  async load(): Promise<BlockContent> {
    const { text, raw } = await this.#read(this);
    const events = EventBlock.read(raw, { uuidPrefix: this.run, firstSequence: this.firstSequence }, this.#gaps);
    return { events, context: new RecordedContext(parseJournal(text), this.#wallClockOffsetNs) };
  }
}
