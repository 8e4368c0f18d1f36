import type { FlowTime } from "./flow.ts";

const nsPerSecond = 1_000_000_000;

/** CLOCK_MONOTONIC ns as wall-clock time, without losing ns to floating point. */
export function wallClockOf(timeNs: number, offsetNs: bigint): FlowTime {
  const offsetSeconds = Number(offsetNs / 1_000_000_000n);
  const offsetNanos = Number(offsetNs % 1_000_000_000n);
  const seconds = Math.floor(timeNs / nsPerSecond);
  const nanos = timeNs - seconds * nsPerSecond + offsetNanos;
  const carry = Math.floor(nanos / nsPerSecond);
  return { seconds: seconds + offsetSeconds + carry, nanos: nanos - carry * nsPerSecond };
}

/** The inverse, for bounds that clients give. May be negative, or beyond any event: comparing is all it is for. */
export function monotonicOf(time: FlowTime, offsetNs: bigint): number {
  return Number(BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanos) - offsetNs);
}
