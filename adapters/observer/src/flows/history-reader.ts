import {
  decodeFlow,
  EndpointResolver,
  type EventBlock,
  EventView,
  type FlowContext,
  type FlowTime,
  LostEventSource,
  nodeNameOf,
  wallClockOf,
} from "@cilium-ts/flow";
import { FlowEncoder } from "../encoding/flow-encoder.ts";
import type { FlowHistory, HistoryBlock } from "./flow-history.ts";
import { type FlowsQuery, isFlow } from "./flows-query.ts";
import type { FlowSink, FlowsReaderOptions, RingStart } from "./flows-reader-options.ts";
import type { Turn } from "./turn.ts";

const chunkBytes = 32_768;

interface HistoryReaderOptions extends FlowsReaderOptions {
  readonly history: FlowHistory;
  readonly turn: Turn;
}

/**
 * Sends what the query wants of the time before the ring begins. Returns where to go on in the ring; undefined when that was all, or when
 * aborted. Blocks and ring number the events alike, so each is read once, here or there.
 */
export async function sendHistory(
  query: FlowsQuery,
  options: HistoryReaderOptions,
  start: RingStart,
  sink: FlowSink,
  signal: AbortSignal,
): Promise<RingStart | undefined> {
  const reader = new HistoryReader(query, options, start);
  const blocks = await options.history.blocks();
  return await sendBlocks(reader, options.history, blocks, await reader.findStart(blocks, signal), sink, signal);
}

/** Sends what the ring has overwritten from the given place on, and returns like `sendHistory`. */
export async function sendMissed(
  query: FlowsQuery,
  options: HistoryReaderOptions,
  start: RingStart,
  sink: FlowSink,
  signal: AbortSignal,
): Promise<RingStart | undefined> {
  const reader = new HistoryReader(query, options, start);
  const blocks = await options.history.blocks();
  const at = await reader.findSequence(blocks, start.cursor);
  return at === undefined ? start : await sendBlocks(reader, options.history, blocks, at, sink, signal);
}

async function sendBlocks(
  reader: HistoryReader,
  history: FlowHistory,
  firstBlocks: readonly HistoryBlock[],
  start: number | undefined,
  sink: FlowSink,
  signal: AbortSignal,
): Promise<RingStart | undefined> {
  let [blocks, at] = [firstBlocks, start];
  while (!signal.aborted) {
    const readBefore = reader.readCount;
    for (let index = at ?? blocks.length; index < blocks.length; index += 1) {
      const block = blocks[index];
      if (block === undefined) break;
      const outcome = await reader.readBlock(block, blocks[index + 1], sink, signal);
      if (signal.aborted || outcome === "done") return undefined;
      if (outcome === "ring") return reader.ringStart();
    }
    const last = blocks.at(-1);
    if (last === undefined || at === undefined || (blocks.length === 1 && reader.readCount === readBefore)) return reader.ringStart();
    blocks = await history.blocks(last.number);
    at = 0;
  }
  return undefined;
}

/** How far a block has been read. */
interface Place {
  readonly number: number;
  readonly run: string;
  readonly isLast: boolean;
  /** Of the next event: its place in the block, and in its ring. */
  index: number;
  sequence: number;
  /** Gaps before it. */
  gaps: number;
}

class HistoryReader {
  readonly #query: FlowsQuery;
  readonly #options: HistoryReaderOptions;
  readonly #encoder: FlowEncoder;
  readonly #end: number;
  readonly #since: bigint | undefined;
  readonly #until: bigint | undefined;
  #remaining: number;
  #place: Place | undefined;
  #lostCount = 0;
  #lostSource: number = LostEventSource.hubbleRingBuffer;
  #lastTime: FlowTime | undefined;
  /** Blocks that were looked through already. */
  readonly #withoutMatch = new Set<number>();
  #fetched: { readonly number: number; readonly content: Promise<Content> } | undefined;
  /** Events looked at or passed over. */
  readCount = 0;

  constructor(query: FlowsQuery, options: HistoryReaderOptions, { end, remaining }: RingStart) {
    const { resolver } = options;
    const wallClock = (timeNs: number | undefined): bigint | undefined =>
      timeNs === undefined ? undefined : BigInt(Math.round(timeNs)) + resolver.context.wallClockOffsetNs;
    this.#query = query;
    this.#options = options;
    this.#encoder = new FlowEncoder({ mask: query.mask, emitter: options.emitter });
    this.#end = end;
    this.#remaining = remaining;
    this.#since = wallClock(query.sinceNs);
    this.#until = wallClock(query.untilNs);
  }

  ringStart(): RingStart {
    const { ring } = this.#options;
    const place = this.#place;
    const cursor = place?.run === ring.uuidPrefix ? place.sequence : Math.min(ring.firstSequence, this.#end);
    return { cursor, end: this.#end, remaining: this.#remaining };
  }

  /** The first block to be read; undefined when there is none. */
  async findStart(blocks: readonly HistoryBlock[], signal: AbortSignal): Promise<number | undefined> {
    const { first, number } = this.#query;
    const since = this.#since;
    if (since !== undefined) {
      const at = blocks.findIndex(({ latest }) => latest === undefined || latest >= since);
      return at < 0 ? undefined : at;
    }
    const total = blocks.reduce((sum, { count }) => sum + count, 0);
    if (first || total <= number) return 0;
    let left = number;
    let found: number | undefined;
    for (let at = blocks.length - 1; at >= 0 && !signal.aborted; at -= 1) {
      const block = blocks[at];
      if (block === undefined || !this.#mayMatch(block)) continue;
      const content = await this.#load(block, blocks[at - 1]).catch(() => undefined);
      if (content === undefined)
        found = at; // What became of it is told when it is read.
      else {
        const { counted, index } = await this.#countBack(block, content, left);
        if (index !== undefined) {
          this.#place = placeIn(block, content.events, index);
          return at;
        }
        if (counted > 0) found = at;
        else if (block.summary !== undefined) this.#withoutMatch.add(block.number);
        left -= counted;
      }
    }
    return found;
  }

  /** The block of this ring's that has the event, or those after it; undefined when there is none. */
  async findSequence(blocks: readonly HistoryBlock[], sequence: number): Promise<number | undefined> {
    const { ring } = this.#options;
    const at = blocks.findIndex(({ run, endSequence }) => run === ring.uuidPrefix && endSequence > sequence);
    const block = blocks[at];
    if (block === undefined) return undefined;
    const { number, run, isLast } = block;
    if (block.firstSequence >= sequence) {
      this.#noteLost(block.firstSequence - sequence);
      return at;
    }
    const content = this.#load(block, undefined);
    const events = await content.then(
      (loaded) => loaded.events,
      () => undefined,
    );
    if (events === undefined) {
      this.#noteLost(block.endSequence - sequence, LostEventSource.unknown);
      this.#place = { number, run, isLast, index: block.count, sequence: block.endSequence, gaps: Number.POSITIVE_INFINITY };
      return at;
    }
    this.#fetched = { number, content };
    this.#place = placeIn(block, events, indexFrom(events, sequence));
    this.#noteLost(this.#place.sequence - sequence);
    return at;
  }

  /** Sends a block's flows. "on": go on with the next; "ring": the ring has what follows; "done": that was all. */
  async readBlock(
    block: HistoryBlock,
    next: HistoryBlock | undefined,
    sink: FlowSink,
    signal: AbortSignal,
  ): Promise<"on" | "ring" | "done"> {
    const place = this.#enter(block);
    if (this.#isInRing(place)) return await this.#flush(sink, "ring");
    if (this.#until !== undefined && block.earliest !== undefined && block.earliest > this.#until) return await this.#flush(sink, "done");
    const tooOld = this.#since !== undefined && block.latest !== undefined && block.latest < this.#since;
    const content = tooOld || !this.#mayMatch(block) ? undefined : await this.#load(block, next).catch(() => "damaged" as const);
    if (content === undefined || content === "damaged") {
      if (content === "damaged") this.#noteLost(block.count - place.index, LostEventSource.unknown);
      if (!tooOld) this.#noteLost(block.endSequence - place.sequence - (block.count - place.index));
      this.readCount += block.count - place.index;
      place.index = block.count;
      place.sequence = block.endSequence;
      return await this.#flush(sink, "on");
    }
    const event = new EventView(new EndpointResolver(content.context));
    while (!signal.aborted) {
      if (this.#isInRing(place)) return await this.#flush(sink, "ring");
      const outcome = this.#readTurn(place, content, event);
      if (outcome !== "more") return await this.#flush(sink, outcome);
      await this.#flush(sink, outcome);
      await this.#options.turn.next(this.#options.line);
    }
    return "done";
  }

  #readTurn(place: Place, { events, context }: Content, event: EventView): "more" | "on" | "done" {
    const isCurrent = place.run === this.#options.ring.uuidPrefix;
    const toBlock = this.#options.resolver.context.wallClockOffsetNs - context.wallClockOffsetNs;
    const bound = (timeNs: number | undefined): number | undefined => (timeNs === undefined ? undefined : timeNs + Number(toBlock));
    const [sinceNs, untilNs] = [bound(this.#query.sinceNs), bound(this.#query.untilNs)];
    while (place.index < events.count) {
      if (this.#encoder.size >= chunkBytes || this.#options.turn.isOver()) return "more";
      this.#passGaps(place, events);
      if (isCurrent && place.sequence >= this.#end) return "done";
      const whole = event.load(events, place.index);
      place.index += 1;
      place.sequence += 1;
      this.readCount += 1;
      if (!whole) continue;
      const { timeNs } = event;
      if (!event.isLost && untilNs !== undefined && timeNs > untilNs) return "done";
      if (sinceNs !== undefined && timeNs < sinceNs) continue;
      this.#lastTime = wallClockOf(Math.round(timeNs), context.wallClockOffsetNs);
      if (event.isLost) this.#addLost(event.subType, event.lostCount, context);
      else if (isFlow(event) && this.#query.matches(event) && this.#addFlow(event)) return "done";
    }
    this.#passGaps(place, events);
    return "on";
  }

  /** Whether that was the last one wanted. */
  #addFlow(event: EventView): boolean {
    const flow = decodeFlow(event);
    if (flow === undefined) return false;
    if (this.#lostCount > 0) this.#reportLost(event.context);
    this.#encoder.addFlow(flow);
    this.#remaining -= 1;
    return this.#remaining === 0;
  }

  async #countBack(
    block: HistoryBlock,
    { events, context }: Content,
    wanted: number,
  ): Promise<{ readonly counted: number; readonly index?: number }> {
    const { turn, line } = this.#options;
    const event = new EventView(new EndpointResolver(context));
    let index = events.count - 1;
    if (block.run === this.#options.ring.uuidPrefix) while (index >= 0 && events.sequenceOf(index) >= this.#end) index -= 1;
    let counted = 0;
    for (; index >= 0; index -= 1) {
      if (turn.isOver()) await turn.next(line);
      if (!event.load(events, index) || !isFlow(event) || !this.#query.matches(event)) continue;
      counted += 1;
      if (counted === wanted) return { counted, index };
    }
    return { counted };
  }

  #mayMatch({ number, summary }: HistoryBlock): boolean {
    return summary === undefined || (!this.#withoutMatch.has(number) && this.#query.mayMatch(summary));
  }

  /** What it holds; the one that will be read after it is fetched meanwhile. */
  #load(block: HistoryBlock, next: HistoryBlock | undefined): Promise<Content> {
    const loading = this.#fetched?.number === block.number ? this.#fetched.content : block.load();
    this.#fetched = undefined;
    if (next?.summary !== undefined && this.#mayMatch(next)) {
      const content = next.load();
      content.catch(() => {}); // Whoever reads it is told.
      this.#fetched = { number: next.number, content };
    }
    return loading;
  }

  /** The place in this block, and what was lost between it and the one before. */
  #enter(block: HistoryBlock): Place {
    const before = this.#place;
    if (before?.number === block.number) return before;
    const { number, run, isLast, firstSequence } = block;
    if (before?.run === run) this.#noteLost(firstSequence - before.sequence);
    // An agent that died had a moment's flows in memory only; how many, nobody knows.
    else if (before !== undefined && !before.isLast) this.#addLost(LostEventSource.unknown, 0, this.#options.resolver.context);
    this.#place = { number, run, isLast, index: 0, sequence: firstSequence, gaps: 0 };
    return this.#place;
  }

  #isInRing(place: Place): boolean {
    const { ring } = this.#options;
    return place.run === ring.uuidPrefix && place.sequence >= ring.firstSequence;
  }

  #passGaps(place: Place, { gaps }: EventBlock): void {
    for (let gap = gaps[place.gaps]; gap !== undefined && gap[0] <= place.index; gap = gaps[place.gaps]) {
      this.#noteLost(gap[1]);
      place.sequence += gap[1];
      place.gaps += 1;
    }
  }

  #noteLost(count: number, source: number = LostEventSource.hubbleRingBuffer): void {
    if (count <= 0) return;
    if (this.#lostCount > 0 && source !== this.#lostSource) this.#reportLost(this.#options.resolver.context);
    this.#lostSource = source;
    this.#lostCount += count;
  }

  #reportLost(context: FlowContext): void {
    if (this.#lostCount > 0) this.#addLost(this.#lostSource, this.#lostCount, context);
    this.#lostCount = 0;
  }

  #addLost(source: number, count: number, context: FlowContext): void {
    const time = this.#lastTime ?? wallClockOf(Math.round(this.#options.nowNs()), this.#options.resolver.context.wallClockOffsetNs);
    this.#encoder.addLost({ source, count, nodeName: nodeNameOf(context), time });
  }

  async #flush<Outcome>(sink: FlowSink, outcome: Outcome): Promise<Outcome> {
    this.#reportLost(this.#options.resolver.context);
    const messages = this.#encoder.take();
    if (messages.length > 0) await sink.write(messages);
    return outcome;
  }
}

type Content = Awaited<ReturnType<HistoryBlock["load"]>>;

/** The first event that has this sequence or a later one. */
function indexFrom(events: EventBlock, sequence: number): number {
  let [low, high] = [0, events.count];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (events.sequenceOf(middle) < sequence) low = middle + 1;
    else high = middle;
  }
  return low;
}

function placeIn({ number, run, isLast }: HistoryBlock, events: EventBlock, index: number): Place {
  const gaps = events.gaps.filter(([before]) => before <= index).length;
  return { number, run, isLast, index, sequence: events.sequenceOf(index), gaps };
}
