import type { EventSource } from "../event.ts";
import { headerOffset } from "../event-layout.ts";
import type { FlowRing } from "../ring.ts";
import { sequenceOfUuid, uuidOf } from "../uuid.ts";

/** Before the event at `index`, `missed` others were seen and not kept. */
export type BlockGap = readonly [index: number, missed: number];

export interface BlockOrigin {
  /** Of the ring that the events were in. */
  readonly uuidPrefix: string;
  /** In that ring, of the first event, or of the first that was missed before it. */
  readonly firstSequence: number;
}

const frameHeaderBytes = 8;
const eventsMax = 16_384;
const gapsMax = 256;

/** A piece of history: frames as in the ring, side by side, numbered from 0. It grows until it is full. */
export class EventBlock implements EventSource {
  readonly origin: BlockOrigin;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #offsets: Uint32Array;
  readonly #gaps: BlockGap[] = [];
  #count = 0;
  #sizeBytes = 0;
  #missed = 0;

  private constructor(bytes: Uint8Array, eventCountMax: number, origin: BlockOrigin) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#offsets = new Uint32Array(eventCountMax);
    this.origin = origin;
  }

  static empty(sizeBytes: number, origin: BlockOrigin): EventBlock {
    return new EventBlock(new Uint8Array(sizeBytes), eventsMax, origin);
  }

  /** Throws when the bytes are not whole frames. */
  static read(frames: Uint8Array, origin: BlockOrigin, gaps: readonly BlockGap[]): EventBlock {
    const block = new EventBlock(frames, Math.ceil(frames.length / (frameHeaderBytes + headerOffset.hash)), origin);
    const pending = [...gaps];
    while (block.#sizeBytes < frames.length) {
      for (let gap = pending[0]; gap !== undefined && gap[0] <= block.#count; gap = pending[0]) {
        block.addGap(gap[1]);
        pending.shift();
      }
      const length = frames.length - block.#sizeBytes < frameHeaderBytes ? frames.length : block.#view.getUint32(block.#sizeBytes, true);
      const frameBytes = frameHeaderBytes + ((length + 7) & ~7);
      if (length < headerOffset.hash || block.#sizeBytes + frameBytes > frames.length) throw new RangeError("the events are cut short");
      block.#offsets[block.#count] = block.#sizeBytes + frameHeaderBytes;
      block.#count += 1;
      block.#sizeBytes += frameBytes;
    }
    for (const [, missed] of pending) block.addGap(missed);
    return block;
  }

  get count(): number {
    return this.#count;
  }

  get gaps(): readonly BlockGap[] {
    return this.#gaps;
  }

  /** Events that were seen in between and not kept. */
  get missed(): number {
    return this.#missed;
  }

  get view(): DataView {
    return this.#view;
  }

  /** The frames from the given size on. */
  bytesFrom(sizeBytes: number): Uint8Array {
    return this.#bytes.subarray(sizeBytes, this.#sizeBytes);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  offsetOf(index: number): number {
    return this.#offsets[index] ?? 0;
  }

  lengthOf(index: number): number {
    return this.#view.getUint32(this.offsetOf(index) - frameHeaderBytes, true);
  }

  /** CLOCK_MONOTONIC ns. */
  timeNsOf(index: number): number {
    const offset = this.offsetOf(index);
    return this.#view.getUint32(offset + 4, true) * 0x1_0000_0000 + this.#view.getUint32(offset, true);
  }

  /** In the ring of its origin; of `count` that of the event after the last. */
  sequenceOf(index: number): number {
    let sequence = this.origin.firstSequence + index;
    for (const [before, missed] of this.#gaps) if (before <= index) sequence += missed;
    return sequence;
  }

  missedBefore(index: number): number {
    return this.#gaps.find(([before]) => before === index)?.[1] ?? 0;
  }

  uuidOf(index: number): string {
    return uuidOf(this.origin.uuidPrefix, this.sequenceOf(index));
  }

  sequenceOfUuid(uuid: string): number | undefined {
    const sequence = sequenceOfUuid(this.origin.uuidPrefix, uuid);
    if (sequence === undefined) return undefined;
    let index = sequence - this.origin.firstSequence;
    for (const [before, missed] of this.#gaps) if (before + missed <= index) index -= missed;
    return index >= 0 && index < this.#count && this.sequenceOf(index) === sequence ? index : undefined;
  }

  addGap(missed: number): void {
    const last = this.#gaps.at(-1);
    if (last !== undefined && last[0] === this.#count) this.#gaps.pop();
    this.#gaps.push([this.#count, missed + (last !== undefined && last[0] === this.#count ? last[1] : 0)]);
    this.#missed += missed;
  }

  /** Takes as many of the ring's events as there is room for. Returns the sequence of the first that was not taken. */
  append(ring: FlowRing, start: number, end: number): number {
    if (this.#gaps.length >= gapsMax) return start;
    let sequence = start;
    while (sequence < end) {
      const offset = ring.offsetOf(sequence) - frameHeaderBytes;
      const first = sequence;
      let runBytes = 0;
      while (sequence < end && ring.offsetOf(sequence) - frameHeaderBytes === offset + runBytes) {
        const frameBytes = frameHeaderBytes + ((ring.lengthOf(sequence) + 7) & ~7);
        if (this.#count === this.#offsets.length || this.#sizeBytes + runBytes + frameBytes > this.#bytes.length) break;
        this.#offsets[this.#count] = this.#sizeBytes + runBytes + frameHeaderBytes;
        this.#count += 1;
        runBytes += frameBytes;
        sequence += 1;
      }
      if (sequence === first) return sequence;
      this.#bytes.set(ring.bytes.subarray(offset, offset + runBytes), this.#sizeBytes);
      this.#sizeBytes += runBytes;
    }
    return sequence;
  }
}
