/**
 * CLOCK_REALTIME minus CLOCK_MONOTONIC, in ns. Reading both takes a moment, and the first counts milliseconds, so two readings differ by
 * up to a millisecond: the first one is kept until the clock has really been set, or flows would seem to overtake each other.
 */
export function createWallClockOffset(monotonicNs: () => bigint, nowMs: () => number): () => bigint {
  const setByNs = 5_000_000n;
  const read = (): bigint => BigInt(nowMs()) * 1_000_000n - monotonicNs();
  let kept = read();
  return () => {
    const now = read();
    const difference = now > kept ? now - kept : kept - now;
    if (difference > setByNs) kept = now;
    return kept;
  };
}
