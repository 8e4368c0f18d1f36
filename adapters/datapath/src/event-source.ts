import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import type { BpfMap, Kernel } from "@cilium-ts/kernel";

export interface EventSourceOptions {
  readonly kernel: Kernel;
  readonly events: BpfMap;
  readonly lost: BpfMap;
  readonly signal: AbortSignal;
  /** Whole records in the framing of `RingBuffer.drain`; valid only during the call. */
  onRecords(bytes: Uint8Array, count: number): void;
  /** Events that found the ring full since the last call. */
  onLost(count: bigint): void;
}

/** Events gather this long before they are read: one read then serves many, and an idle node is not woken at all. */
const gatherMs = 10;
const idleMs = 1_000;
const bufferSizeBytes = 1 << 20;

/** Moves events out of the kernel until aborted. */
export async function readEvents(options: EventSourceOptions): Promise<void> {
  const { kernel, events, lost, signal } = options;
  using ring = kernel.openRingBuffer(events);
  const buffer = new Uint8Array(bufferSizeBytes);
  let lostBefore = totalOf(lost);
  while (!signal.aborted) {
    await ring.wait(idleMs, signal);
    await delay(gatherMs, undefined, { signal }).catch(() => {}); // Rejects only on abort; what is there is still read.
    for (let more = true; more; ) {
      const drained = ring.drain(buffer);
      if (drained.records > 0) options.onRecords(buffer.subarray(0, drained.bytes), drained.records);
      more = drained.more;
      if (more) await nextTurn(); // In a flood there is always more: what there is no time for is lost in the kernel, and counted there.
    }
    const lostNow = totalOf(lost);
    if (lostNow !== lostBefore) options.onLost(lostNow - lostBefore);
    lostBefore = lostNow;
  }
}

function totalOf(map: BpfMap): bigint {
  const value = map.lookup(new Uint8Array(4));
  if (value === undefined) return 0n;
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  let total = 0n;
  for (let offset = 0; offset + 8 <= value.byteLength; offset += 8) total += view.getBigUint64(offset, true);
  return total;
}
