import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { monotonicOf } from "@cilium-ts/flow";
import { Code, ConnectError } from "@connectrpc/connect";
import { Turn } from "../flows/turn.ts";

/** What events lie in: a ring of their own, or one that they share with others. */
export interface EventLog {
  readonly firstSequence: number;
  readonly nextSequence: number;
  /** CLOCK_MONOTONIC. */
  timeNsOf(sequence: number): number;
  onAppend(listener: () => void): () => void;
}

/** The fields that requests for agent and for debug events share. They mean what they mean in GetFlows. */
export interface LogRequest {
  readonly number: bigint;
  readonly first: boolean;
  readonly follow: boolean;
  readonly since?: Timestamp | undefined;
  readonly until?: Timestamp | undefined;
}

export interface ReadLogOptions<T> {
  readonly log: EventLog;
  readonly wallClockOffsetNs: bigint;
  readonly nowNs: () => number;
  readonly signal: AbortSignal;
  /** Undefined: that one is of another kind. */
  read(sequence: number): T | undefined;
}

/** Gives the events that the request asks for; what was overwritten before it could be read is left out. */
export async function* readLog<T>(request: LogRequest, options: ReadLogOptions<T>): AsyncGenerator<T, void> {
  const { log, wallClockOffsetNs, signal, read } = options;
  if (request.first && request.follow) throw new ConnectError("first cannot be combined with follow", Code.InvalidArgument);
  const sinceNs = readTime("since", request.since, wallClockOffsetNs);
  const untilNs = readTime("until", request.until, wallClockOffsetNs);
  const turn = new Turn(options.nowNs);
  const end = request.follow ? Number.POSITIVE_INFINITY : log.nextSequence;
  let remaining = request.follow || request.number === 0n ? Number.POSITIVE_INFINITY : Number(request.number);
  let cursor = await startOf(request, sinceNs, options, turn);
  turn.begin();
  while (!signal.aborted && remaining > 0) {
    cursor = Math.max(cursor, log.firstSequence);
    if (cursor >= end) return;
    if (cursor >= log.nextSequence) {
      await appended(log, signal);
      turn.begin();
      continue;
    }
    const timeNs = log.timeNsOf(cursor);
    const value = read(cursor);
    cursor += 1;
    if (turn.isOver()) await turn.next();
    if (value === undefined || (sinceNs !== undefined && timeNs < sinceNs)) continue;
    if (untilNs !== undefined && timeNs > untilNs) return;
    yield value;
    remaining -= 1;
  }
}

async function startOf<T>(request: LogRequest, sinceNs: number | undefined, options: ReadLogOptions<T>, turn: Turn): Promise<number> {
  const { log, read } = options;
  let sequence = log.nextSequence;
  if (sinceNs !== undefined) {
    while (sequence > log.firstSequence && log.timeNsOf(sequence - 1) >= sinceNs) sequence -= 1;
    return sequence;
  }
  if (request.first) return log.firstSequence;
  if (request.number === 0n) return request.follow ? sequence : log.firstSequence;
  let counted = 0n;
  turn.begin();
  while (sequence > log.firstSequence && counted < request.number) {
    sequence -= 1;
    if (read(sequence) !== undefined) counted += 1n;
    if (turn.isOver()) await turn.next();
  }
  return sequence;
}

function readTime(name: string, time: Timestamp | undefined, wallClockOffsetNs: bigint): number | undefined {
  if (time === undefined) return undefined;
  if (time.nanos < 0 || time.nanos > 999_999_999)
    throw new ConnectError(`${name}: ${time.nanos} ns is no part of a second`, Code.InvalidArgument);
  return monotonicOf({ seconds: Number(time.seconds), nanos: time.nanos }, wallClockOffsetNs);
}

/** Resolves with the next append, or when aborted. */
async function appended(log: EventLog, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const wake = (): void => resolve();
  const leave = log.onAppend(wake);
  signal.addEventListener("abort", wake, { once: true });
  if (!signal.aborted) await promise;
  signal.removeEventListener("abort", wake);
  leave();
}
