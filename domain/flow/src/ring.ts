import { EventType, headerOffset, lostOffset } from "./event-layout.ts";
import { LostEventSource } from "./flow.ts";
import { sequenceOfUuid, uuidOf, uuidPrefixOf } from "./uuid.ts";

export interface FlowRingOptions {
  /** Events kept: one less than a power of two, at most 65,535. */
  readonly capacity?: number;
  /** Bytes kept; a multiple of 8. By default 256 for each event. */
  readonly sizeBytes?: number;
  /** At least 9 random bytes: what makes the uuids of this ring differ from those of every other. */
  readonly instance: Uint8Array;
}

/** Frames are a u32 length, four bytes of zero and the record, padded to 8: the form in which the kernel's ring buffer is drained. */
const frameHeaderBytes = 8;
const recordBytesMax = 65_528;
const rateWindowSeconds = 60;

/**
 * The last events, raw, in one block of memory. Appending costs a copy of the batch and three numbers an event; nothing is decoded
 * and nothing allocated. An event's sequence number is its place in everything ever appended, so a reader that fell behind can tell
 * exactly how many it missed.
 */
export class FlowRing {
  readonly capacity: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** By slot (sequence & mask): where the record starts, and its length. */
  readonly #offsets: Uint32Array;
  readonly #lengths: Uint32Array;
  readonly #mask: number;
  /** What its uuids begin with. */
  readonly uuidPrefix: string;
  readonly #listeners = new Set<() => void>();
  readonly #rate = new Float64Array(rateWindowSeconds * 2);
  /** Sequence of the oldest event kept, and of the next to come. */
  #first = 0;
  #next = 0;
  #writeOffset = 0;
  #markers = 0;
  #malformed = 0;
  #lostCount = 0;

  constructor(options: FlowRingOptions) {
    const { capacity = 4095, sizeBytes = (capacity + 1) * 256, instance } = options;
    const slots = capacity + 1;
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > 65_535 || (slots & capacity) !== 0) {
      throw new RangeError(`the flow ring's capacity must be 2^i - 1 and at most 65535, it is ${capacity}: try 4095`);
    }
    if (sizeBytes % 8 !== 0 || sizeBytes < 256)
      throw new RangeError(`the flow ring's size must be a multiple of 8 from 256 on, it is ${sizeBytes}`);
    if (instance.length < 9) throw new RangeError(`the flow ring's instance must have 9 random bytes, it has ${instance.length}`);
    this.capacity = capacity;
    this.#mask = capacity;
    this.#bytes = new Uint8Array(sizeBytes);
    this.#view = new DataView(this.#bytes.buffer);
    this.#offsets = new Uint32Array(slots);
    this.#lengths = new Uint32Array(slots);
    this.uuidPrefix = uuidPrefixOf(instance);
  }

  /** The memory that holds the records; what is in it changes with the next append. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get view(): DataView {
    return this.#view;
  }

  /** Sequence of the oldest event that can be read. Equal to `nextSequence` when there is none. */
  get firstSequence(): number {
    return this.#first;
  }

  get nextSequence(): number {
    return this.#next;
  }

  /** Events that can be read now. */
  get size(): number {
    return this.#next - this.#first;
  }

  /** Events ever appended, without the markers of loss. */
  get seen(): number {
    return this.#next - this.#markers;
  }

  /** Events that were reported as lost before they came here. */
  get lost(): number {
    return this.#lostCount;
  }

  /** Frames that could not be taken: cut short, or larger than the ring. */
  get malformed(): number {
    return this.#malformed;
  }

  offsetOf(sequence: number): number {
    return this.#offsets[sequence & this.#mask] ?? 0;
  }

  lengthOf(sequence: number): number {
    return this.#lengths[sequence & this.#mask] ?? 0;
  }

  /** CLOCK_MONOTONIC ns. Exact for the first 104 days of uptime, within 2 ns for years after. */
  timeNsOf(sequence: number): number {
    const offset = this.offsetOf(sequence);
    return this.#view.getUint32(offset + 4, true) * 0x1_0000_0000 + this.#view.getUint32(offset, true);
  }

  /** The same for the same event as long as the ring lives, and never that of another. */
  uuidOf(sequence: number): string {
    return uuidOf(this.uuidPrefix, sequence);
  }

  /** Which event has this uuid; undefined when none of this ring can have it. */
  sequenceOfUuid(uuid: string): number | undefined {
    return sequenceOfUuid(this.uuidPrefix, uuid);
  }

  /** Takes a batch of frames and returns how many events were in it. The batch may be reused at once. */
  append(batch: Uint8Array): number {
    const lengths = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
    const before = this.#next;
    let runStart = 0;
    let position = 0;
    while (position + frameHeaderBytes <= batch.length) {
      const length = lengths.getUint32(position, true);
      const frameBytes = frameHeaderBytes + ((length + 7) & ~7);
      const tooShort = length < headerOffset.hash;
      if (length > recordBytesMax || position + frameHeaderBytes + length > batch.length) {
        this.#malformed += 1; // Whatever follows cannot be found without this length.
        break;
      }
      if (tooShort || frameBytes > this.#bytes.length) {
        this.#malformed += 1;
        this.#copyRun(batch, runStart, position);
        position += frameBytes;
        runStart = position;
        continue;
      }
      if (this.#writeOffset + (position - runStart) + frameBytes > this.#bytes.length) {
        this.#copyRun(batch, runStart, position);
        runStart = position;
        this.#wrap();
      }
      position += frameBytes;
    }
    this.#copyRun(batch, runStart, Math.min(position, batch.length));
    const count = this.#next - before;
    if (count > 0) this.#appended(count);
    return count;
  }

  /** Takes a batch that is known to have so many events. Those that cannot be taken are lost on their way here, and noted as that. */
  appendDrained(batch: Uint8Array, count: number, nowNs: number): void {
    const refused = count - this.append(batch);
    if (refused > 0) this.appendLost(LostEventSource.observerEventsQueue, refused, nowNs);
  }

  /** Takes one record, without a frame around it. */
  appendRecord(record: Uint8Array): void {
    const frame = new Uint8Array(frameHeaderBytes + record.length);
    new DataView(frame.buffer).setUint32(0, record.length, true);
    frame.set(record, frameHeaderBytes);
    this.append(frame);
  }

  /** Notes, in its place among the events, that some were lost. */
  appendLost(source: number, count: number, timeNs: number): void {
    const record = new Uint8Array(lostOffset.end);
    const view = new DataView(record.buffer);
    view.setBigUint64(headerOffset.timeNs, BigInt(Math.round(timeNs)), true);
    record[headerOffset.type] = EventType.lost;
    record[headerOffset.subType] = source;
    view.setBigUint64(lostOffset.count, BigInt(count), true);
    this.#markers += 1;
    this.#lostCount += count;
    this.appendRecord(record);
  }

  /** Events a second over the last minute. */
  ratePerSecond(nowNs: number): number {
    const second = Math.floor(nowNs / 1e9);
    let count = 0;
    for (let index = 0; index < rateWindowSeconds; index += 1) {
      const age = second - (this.#rate[index * 2] ?? 0);
      if (age >= 0 && age < rateWindowSeconds) count += this.#rate[index * 2 + 1] ?? 0;
    }
    return count / rateWindowSeconds;
  }

  /** Who waits for the next append. */
  get listenerCount(): number {
    return this.#listeners.size;
  }

  /** Calls the listener after every append that brought something. The returned function ends that. */
  onAppend(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Copies whole frames in one piece and writes down where each record is. */
  #copyRun(batch: Uint8Array, start: number, end: number): void {
    if (end <= start) return;
    const base = this.#writeOffset;
    const sizeBytes = (end - start + 7) & ~7; // The last frame's padding may be missing from the batch.
    this.#evictWithin(base, base + sizeBytes);
    if (start === 0 && end === batch.length) this.#bytes.set(batch, base);
    else this.#bytes.set(batch.subarray(start, end), base);
    let offset = base;
    while (offset < base + sizeBytes) {
      const length = this.#view.getUint32(offset, true);
      if (this.#next - this.#first === this.capacity) this.#first += 1;
      const slot = this.#next & this.#mask;
      this.#offsets[slot] = offset + frameHeaderBytes;
      this.#lengths[slot] = length;
      this.#next += 1;
      offset += frameHeaderBytes + ((length + 7) & ~7);
    }
    this.#writeOffset = base + sizeBytes;
  }

  /** Starts again at the front; what was kept behind the last event is given up. */
  #wrap(): void {
    this.#evictWithin(this.#writeOffset, this.#bytes.length);
    this.#writeOffset = 0;
  }

  /** Events lie in the order of their age, so those in the way of the next bytes are the oldest. */
  #evictWithin(start: number, end: number): void {
    while (this.#first < this.#next) {
      const offset = this.offsetOf(this.#first) - frameHeaderBytes;
      if (offset < start || offset >= end) return;
      this.#first += 1;
    }
  }

  #appended(count: number): void {
    const second = Math.floor(this.timeNsOf(this.#next - 1) / 1e9);
    const bucket = (second % rateWindowSeconds) * 2;
    if (this.#rate[bucket] !== second) {
      this.#rate[bucket] = second;
      this.#rate[bucket + 1] = 0;
    }
    this.#rate[bucket + 1] = (this.#rate[bucket + 1] ?? 0) + count;
    for (const listener of this.#listeners) listener();
  }
}
