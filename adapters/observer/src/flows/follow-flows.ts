import {
  decodeFlow,
  type EndpointResolver,
  EventView,
  type Flow,
  type FlowRing,
  type FlowTime,
  LostEventSource,
  wallClockOf,
} from "@cilium-ts/flow";
import { isFlow } from "./flows-query.ts";
import { Turn } from "./turn.ts";

/** Who takes every flow of the node within the program: metrics, files, collectors. */
export interface FlowConsumer {
  /** Asked of every event; a flow is decoded when somebody wants it, once for all. */
  wants(event: EventView): boolean;
  /** Must not wait: what cannot be passed on at once is held, up to a limit, or counted as lost. */
  consume(flow: Flow, event: EventView): void;
  /** Events that nobody will see: a `LostEventSource`, how many, and when that was known. */
  noteLoss(source: number, count: number, time: FlowTime): void;
}

export interface FollowFlowsOptions {
  readonly ring: FlowRing;
  readonly resolver: EndpointResolver;
  /** CLOCK_MONOTONIC. */
  readonly nowNs: () => number;
  /** Who takes part now. */
  readonly consumers: () => readonly FlowConsumer[];
  /** Called when a batch is through: a time to write. */
  readonly onBatch?: () => void;
}

/**
 * Shows every flow from now on to those who take part, until aborted. What the ring overwrote before it could be shown is told as a loss.
 * While nobody takes part nothing is looked at.
 */
export async function followFlows(options: FollowFlowsOptions, signal: AbortSignal): Promise<void> {
  const { ring, resolver, nowNs } = options;
  const event = new EventView(resolver);
  const turn = new Turn(nowNs);
  const timeOf = (timeNs: number): FlowTime => wallClockOf(Math.round(timeNs), resolver.context.wallClockOffsetNs);
  let cursor = ring.nextSequence;
  turn.begin();
  while (!signal.aborted) {
    const consumers = options.consumers();
    if (consumers.length === 0) cursor = ring.nextSequence;
    const missed = ring.firstSequence - cursor;
    if (missed > 0) {
      cursor += missed;
      for (const consumer of consumers) consumer.noteLoss(LostEventSource.hubbleRingBuffer, missed, timeOf(nowNs()));
    }
    const { nextSequence } = ring;
    let isOver = false;
    while (cursor < nextSequence && !isOver) {
      show(event, event.load(ring, cursor), consumers, timeOf);
      cursor += 1;
      isOver = turn.isOver();
    }
    options.onBatch?.();
    if (isOver) await turn.next();
    else if (cursor >= ring.nextSequence) {
      await appended(ring, signal);
      turn.begin();
    }
  }
}

function show(event: EventView, isWhole: boolean, consumers: readonly FlowConsumer[], timeOf: (timeNs: number) => FlowTime): void {
  if (!isWhole) return;
  if (event.isLost) {
    for (const consumer of consumers) consumer.noteLoss(event.subType, event.lostCount, timeOf(event.timeNs));
    return;
  }
  if (!isFlow(event)) return;
  let flow: Flow | undefined;
  for (const consumer of consumers) {
    if (!consumer.wants(event)) continue;
    flow ??= decodeFlow(event);
    if (flow === undefined) return;
    consumer.consume(flow, event);
  }
}

async function appended(ring: FlowRing, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const wake = (): void => resolve();
  const leave = ring.onAppend(wake);
  signal.addEventListener("abort", wake, { once: true });
  if (!signal.aborted) await promise;
  signal.removeEventListener("abort", wake);
  leave();
}
