import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  compileFilters,
  compileSummaryFilters,
  type EventView,
  type FlowPredicate,
  type FlowRing,
  monotonicOf,
  type SummaryPredicate,
} from "@cilium-ts/flow";
import { FieldMask } from "../filters/field-mask.ts";
import { filterOptions, toDomainFilter } from "../filters/flow-filter.ts";
import type { GetFlowsRequest } from "../gen/observer/observer_pb.js";
import { GrpcCode, GrpcError } from "../grpc/errors.ts";
import type { Turn } from "./turn.ts";

/** A request that was read and found right. Times are CLOCK_MONOTONIC ns, as events carry them. */
export interface FlowsQuery {
  /** 0: no limit. */
  readonly number: number;
  readonly first: boolean;
  readonly follow: boolean;
  readonly sinceNs: number | undefined;
  readonly untilNs: number | undefined;
  readonly matches: FlowPredicate;
  /** False only where nothing matches. */
  readonly mayMatch: SummaryPredicate;
  readonly mask: FieldMask;
}

/** Throws InvalidArgument, naming what is wrong, before anything is sent. */
export function readFlowsQuery(request: GetFlowsRequest, wallClockOffsetNs: bigint): FlowsQuery {
  if (request.first && request.follow)
    throw invalid("first cannot be combined with follow: ask for the first flows, or follow the new ones");
  const allow = request.whitelist.map(toDomainFilter);
  const filters = compileFilters(allow, request.blacklist.map(toDomainFilter), filterOptions);
  if ("problem" in filters) throw invalid(`invalid filter: ${filters.problem}`);
  const mask = FieldMask.parse(request.fieldMask?.paths ?? []);
  if ("problem" in mask) throw invalid(mask.problem);
  return {
    number: Number(request.number),
    first: request.first,
    follow: request.follow,
    sinceNs: readTime("since", request.since, wallClockOffsetNs),
    untilNs: readTime("until", request.until, wallClockOffsetNs),
    matches: filters.matches,
    mayMatch: compileSummaryFilters(allow),
    mask: mask.mask,
  };
}

/** Where reading begins in the ring. */
interface RingPlace {
  readonly sequence: number;
  /** The query may want older events than the ring has. */
  readonly isShort: boolean;
}

/** Where reading begins. With `since` and a number this gives the oldest flows after that time, not the newest: clients count on it. */
export async function startSequence(query: FlowsQuery, ring: FlowRing, event: EventView, turn: Turn): Promise<RingPlace> {
  const { firstSequence: oldest, nextSequence: next } = ring;
  const { sinceNs, number } = query;
  if (sinceNs !== undefined) {
    let sequence = next;
    while (sequence > oldest && ring.timeNsOf(sequence - 1) >= sinceNs) sequence -= 1;
    return { sequence, isShort: sequence === oldest };
  }
  if (query.first) return { sequence: oldest, isShort: true };
  if (number === 0) return { sequence: query.follow ? next : oldest, isShort: false };
  let counted = 0;
  let sequence = next;
  turn.begin();
  // While others have their turn the ring may move on: what it overwrites meanwhile is out of reach.
  while (sequence > ring.firstSequence && counted < number) {
    sequence -= 1;
    if (event.load(ring, sequence) && isFlow(event) && query.matches(event)) counted += 1;
    if (turn.isOver()) await turn.next();
  }
  return { sequence, isShort: counted < number };
}

/** Debug messages and markers of loss share the ring. */
export function isFlow(event: EventView): boolean {
  return !event.isLost && !event.isDebug;
}

function readTime(name: string, time: Timestamp | undefined, wallClockOffsetNs: bigint): number | undefined {
  if (time === undefined) return undefined;
  if (time.nanos < 0 || time.nanos > 999_999_999) throw invalid(`${name}: ${time.nanos} ns is no part of a second`);
  return monotonicOf({ seconds: Number(time.seconds), nanos: time.nanos }, wallClockOffsetNs);
}

function invalid(message: string): GrpcError {
  return new GrpcError(GrpcCode.invalidArgument, message);
}
