import { decodeFlow, EventView, type FlowRing, type FlowTime, LostEventSource, nodeNameOf, wallClockOf } from "@cilium-ts/flow";
import { FlowEncoder } from "../encoding/flow-encoder.ts";
import { type FlowsQuery, isFlow, startSequence } from "./flows-query.ts";
import type { FlowSink, FlowsReaderOptions, RingStart } from "./flows-reader-options.ts";
import { sendHistory, sendMissed } from "./history-reader.ts";
import { Turn } from "./turn.ts";

const chunkBytes = 32_768;
const lostReportIntervalNs = 1e9;

/**
 * Sends what the query asks for. A reader holds a place in the ring and nothing else. When the ring overtakes it, it reads what it missed
 * from history; what is not there either is counted exactly and told at most once a second.
 */
export async function sendFlows(query: FlowsQuery, options: FlowsReaderOptions, sink: FlowSink, signal: AbortSignal): Promise<void> {
  const turn = new Turn(options.nowNs);
  const start = await findStart(query, options, turn, sink, signal);
  if (start === undefined) return;
  const reader = new FlowsReader(query, options, start);
  turn.begin();
  while (!signal.aborted) {
    const state = reader.readTurn(turn);
    if (state !== "more" && (state !== "caught-up" || !query.follow)) reader.reportLost(true);
    const messages = reader.take();
    if (messages.length > 0) await sink.write(messages);
    if (state === "done") return;
    if (state === "overtaken") {
      if (!(await readMissed(reader, query, options, turn, sink, signal))) return;
      continue;
    }
    if (state === "more") await turn.next();
    else if (!query.follow) return;
    else {
      await reader.waitForMore(signal);
      turn.begin();
    }
  }
}

/** Sends what the ring has overwritten before it was read. False: that was all that was wanted. */
async function readMissed(
  reader: FlowsReader,
  query: FlowsQuery,
  options: FlowsReaderOptions,
  turn: Turn,
  sink: FlowSink,
  signal: AbortSignal,
): Promise<boolean> {
  const { history, seats } = options;
  using seat = history === undefined ? undefined : seats?.take();
  turn.begin();
  const next =
    history === undefined || seat === undefined
      ? reader.place
      : await sendMissed(query, { ...options, history, turn }, reader.place, sink, signal);
  if (next === undefined) return false;
  reader.goOn(next);
  turn.begin();
  return true;
}

/** Where to read on in the ring, after history has told what is older; undefined when that was all. */
async function findStart(
  query: FlowsQuery,
  options: FlowsReaderOptions,
  turn: Turn,
  sink: FlowSink,
  signal: AbortSignal,
): Promise<RingStart | undefined> {
  const { ring, history, resolver } = options;
  const end = query.follow ? Number.POSITIVE_INFINITY : ring.nextSequence;
  const { sequence, isShort } = await startSequence(query, ring, new EventView(resolver), turn);
  const remaining = query.follow || query.number === 0 ? Number.POSITIVE_INFINITY : query.number;
  const start = { cursor: sequence, end, remaining };
  return history === undefined || !isShort ? start : await sendHistory(query, { ...options, history, turn }, start, sink, signal);
}

class FlowsReader {
  readonly #query: FlowsQuery;
  readonly #options: FlowsReaderOptions;
  readonly #event: EventView;
  readonly #encoder: FlowEncoder;
  readonly #end: number;
  #cursor: number;
  #remaining: number;
  #lostCount = 0;
  #lostFirst: FlowTime | undefined;
  #lostLast: FlowTime | undefined;
  #lostReportedNs = Number.NEGATIVE_INFINITY;

  constructor(query: FlowsQuery, options: FlowsReaderOptions, { cursor, end, remaining }: RingStart) {
    this.#query = query;
    this.#options = options;
    this.#event = new EventView(options.resolver);
    this.#encoder = new FlowEncoder({ mask: query.mask, emitter: options.emitter });
    this.#cursor = cursor;
    this.#end = end;
    this.#remaining = remaining;
  }

  take(): Uint8Array {
    return this.#encoder.take();
  }

  get place(): RingStart {
    return { cursor: this.#cursor, end: this.#end, remaining: this.#remaining };
  }

  /** Goes on after history was asked for what is overwritten. What it does not have is lost. */
  goOn({ cursor, remaining }: RingStart): void {
    this.#remaining = remaining;
    if (cursor === this.#cursor) this.#skipOverwritten();
    else this.#cursor = cursor;
  }

  /** Reads on for one turn. "done": nothing will follow; "caught-up": nothing more for now; "overtaken": the next events are overwritten. */
  readTurn(turn: Turn): "done" | "more" | "caught-up" | "overtaken" {
    const { ring } = this.#options;
    while (this.#encoder.size < chunkBytes) {
      if (this.#remaining > 0 && Math.min(ring.firstSequence, this.#end) > this.#cursor) return "overtaken";
      if (this.#cursor >= Math.min(this.#end, ring.nextSequence)) {
        this.reportLost(false);
        return "caught-up";
      }
      if (this.#remaining === 0 || !this.#readOne(ring)) return "done";
      if (turn.isOver()) break;
    }
    this.reportLost(false);
    return this.#remaining === 0 ? "done" : "more";
  }

  /** Tells of what was missed, unless that was told less than a second ago and may wait. */
  reportLost(now: boolean): void {
    const nowNs = this.#options.nowNs();
    if (this.#lostCount === 0 || (!now && nowNs - this.#lostReportedNs < lostReportIntervalNs)) return;
    this.#addLost(LostEventSource.hubbleRingBuffer, this.#lostCount, nowNs, this.#lostFirst, this.#lostLast);
    this.#lostCount = 0;
    this.#lostFirst = undefined;
    this.#lostReportedNs = nowNs;
  }

  /** Resolves with the next append, when a report of losses is due, or when aborted. */
  async waitForMore(signal: AbortSignal): Promise<void> {
    const { ring, nowNs } = this.#options;
    if (signal.aborted || this.#cursor < ring.nextSequence) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const leave = ring.onAppend(resolve);
    const dueMs = (this.#lostReportedNs + lostReportIntervalNs - nowNs()) / 1e6;
    const timer = this.#lostCount > 0 ? setTimeout(resolve, Math.max(1, dueMs)) : undefined;
    const stop = (): void => resolve();
    signal.addEventListener("abort", stop, { once: true });
    await promise;
    signal.removeEventListener("abort", stop);
    leave();
    clearTimeout(timer);
  }

  #skipOverwritten(): void {
    const missed = Math.min(this.#options.ring.firstSequence, this.#end) - this.#cursor;
    if (missed <= 0) return;
    const time = this.#wallClock(this.#options.nowNs());
    this.#lostFirst ??= time;
    this.#lostLast = time;
    this.#lostCount += missed;
    this.#cursor += missed;
  }

  /** False when this event is behind the end that was asked for. */
  #readOne(ring: FlowRing): boolean {
    const event = this.#event;
    const { sinceNs, untilNs, matches } = this.#query;
    const whole = event.load(ring, this.#cursor);
    this.#cursor += 1;
    if (!whole) return true;
    if (event.isLost) {
      this.#addLost(event.subType, event.lostCount, event.timeNs, undefined, undefined);
      return true;
    }
    if (untilNs !== undefined && event.timeNs > untilNs) return false;
    if (sinceNs !== undefined && event.timeNs < sinceNs) return true;
    if (!isFlow(event) || !matches(event)) return true;
    const flow = decodeFlow(event);
    if (flow === undefined) return true;
    this.#encoder.addFlow(flow);
    this.#remaining -= 1;
    return true;
  }

  #addLost(source: number, count: number, timeNs: number, first: FlowTime | undefined, last: FlowTime | undefined): void {
    const nodeName = nodeNameOf(this.#options.resolver.context);
    const times = first === undefined || last === undefined ? {} : { first, last };
    this.#encoder.addLost({ source, count, nodeName, time: this.#wallClock(timeNs), ...times });
  }

  #wallClock(timeNs: number): FlowTime {
    return wallClockOf(Math.round(timeNs), this.#options.resolver.context.wallClockOffsetNs);
  }
}
