import { timestampFromMs } from "@bufbuild/protobuf/wkt";

/** Messages remembered of each node and call: eight bytes of theirs. */
const rememberedMax = 2_048;
/** What was forgotten must not be asked for again. */
const forgottenStepMs = 0.001;
/** Events of several CPUs may come a little out of order. */
const overlapMs = 2_000;

/**
 * How far one node's messages have been received in one call, so that after an interruption the node can be asked for what follows:
 * from a little earlier, and without those that came already.
 */
export class ResumePoint {
  /** In the order in which they came. */
  readonly #seen = new Map<number, number>();
  #firstMs: number;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** `startMs`: from when on a node is asked that has told nothing yet. */
  constructor(startMs: number) {
    this.#firstMs = startMs;
  }

  /** Notes a message; false when it came before. Messages without a time cannot be told apart, and are always new. */
  note(frame: Uint8Array, timeMs: number): boolean {
    if (Number.isNaN(timeMs)) return true;
    const key = keyOf(frame, timeMs);
    if (this.#seen.has(key)) return false;
    if (this.#lastMs === Number.NEGATIVE_INFINITY) this.#firstMs = timeMs;
    this.#lastMs = Math.max(this.#lastMs, timeMs);
    this.#seen.set(key, timeMs);
    if (this.#seen.size > rememberedMax) this.#forgetOldest();
    return true;
  }

  /** Whatever happened earlier has been received, or was not asked for. */
  get sinceMs(): number {
    return Math.max(this.#firstMs, this.#lastMs === Number.NEGATIVE_INFINITY ? this.#firstMs : this.#lastMs - overlapMs);
  }

  #forgetOldest(): void {
    for (const [key, timeMs] of this.#seen) {
      this.#seen.delete(key);
      this.#firstMs = Math.max(this.#firstMs, timeMs + forgottenStepMs);
      return;
    }
  }
}

/** 53 bits of a hash (FNV-1a, twice) of the whole message. */
function keyOf(frame: Uint8Array, timeMs: number): number {
  let low = 0x811c9dc5 ^ Math.floor(timeMs);
  let high = 0x01000193;
  for (let at = 0; at < frame.length; at += 1) {
    const byte = frame[at] ?? 0;
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul(high ^ (byte + at), 0x85ebca6b);
  }
  return (high >>> 11) * 0x1_0000_0000 + (low >>> 0);
}

/** For a request; microseconds are as exact as a number can be. */
export function timestampOf(timeMs: number): ReturnType<typeof timestampFromMs> {
  const timestamp = timestampFromMs(Math.floor(timeMs));
  timestamp.nanos = Math.min(999_999_999, Math.floor((timeMs / 1_000 - Math.floor(timeMs / 1_000)) * 1e9));
  timestamp.seconds = BigInt(Math.floor(timeMs / 1_000));
  return timestamp;
}
