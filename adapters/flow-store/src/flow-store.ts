import {
  EndpointResolver,
  EventBlock,
  EventView,
  type FlowContext,
  type FlowRing,
  RecordedContext,
  SummaryCollector,
} from "@cilium-ts/flow";
import { type Clock, errorMessage } from "@cilium-ts/std";
import { encodeBlock } from "./block-codec.ts";
import { type BlockMeta, readBlockMeta } from "./block-meta.ts";
import { GrowingBlock } from "./growing-block.ts";
import { SegmentFiles } from "./segment-files.ts";
import { BlockInMemory, BlockOnDisk, type StoredBlock } from "./stored-block.ts";
import { type Tail, TailFiles } from "./tail-files.ts";
import { TrafficStore } from "./traffic-store.ts";

export interface FlowStoreOptions {
  readonly directory: string;
  readonly sizeBytesMax: number;
  readonly ageMsMax: number;
  readonly ring: FlowRing;
  readonly context: FlowContext;
  readonly clock: Clock;
  /** One line for each kind of trouble, until it is over. */
  readonly onProblem: (message: string) => void;
  readonly blockBytes?: number;
  /** For how long and within which size sums are kept. */
  readonly traffic: { readonly sizeBytesMax: number; readonly ageMsMax: number };
}

/** For metrics. */
export interface FlowStoreCounts {
  /** Events written to the disk. */
  stored: number;
  /** Events that came faster than they are kept, or that the disk did not take. */
  lost: number;
  /** Writes and reads that failed. */
  failures: number;
  /** Blocks that were damaged. */
  damaged: number;
}

/** Kept between rounds: what a death of the process loses at most. */
const roundMs = 1_000;
/** A block that is not full goes to the disk after this time. */
const blockAgeMs = 60_000;
const defaultBlockBytes = 1_048_576;
const segmentBytesMax = 8_388_608;
/** Blocks that wait for the disk; more are not kept. */
const waitingBlocksMax = 8;
/** Events kept within a tenth of a second; more are left to the ring, so that a flood costs the node no more than this. */
const eventsPerWindowMax = 10_000;
const windowMs = 100;
const loadsMax = 4;
/** A disk that fails now and then is said about this often. */
const wellMs = 60_000;

/**
 * Every event that the ring sees, on disk, with what explains it, within a size and an age. Events are copied a ring's quarter at a time,
 * explained once a second, and written in blocks of a megabyte; what is being filled is in a tail file meanwhile.
 */
export class FlowStore {
  readonly counts: FlowStoreCounts = { stored: 0, lost: 0, failures: 0, damaged: 0 };
  readonly #options: FlowStoreOptions;
  readonly #files: SegmentFiles;
  readonly #tails: TailFiles;
  readonly traffic: TrafficStore;
  /** Oldest first. */
  #onDisk: BlockOnDisk[] = [];
  /** The last one is being filled; the others wait for the disk. */
  readonly #inMemory: BlockInMemory[] = [];
  readonly #closed = new WeakSet<BlockInMemory>();
  readonly #loaded = Promise.withResolvers<void>();
  readonly #leaveRing: () => void;
  /** Ends the pause between rounds. */
  #pause = new AbortController();
  #nextNumber = 0;
  #cursor: number;
  #windowMs = 0;
  #windowEvents = 0;
  #loads = 0;
  readonly #loadQueue: Array<() => void> = [];
  /** What goes wrong now and has been said, and when it last did. */
  readonly #troubles = new Map<"read" | "write", number>();

  constructor(options: FlowStoreOptions) {
    this.#options = options;
    const { directory, ring, sizeBytesMax } = options;
    const onDamage = (message: string): void => {
      this.counts.damaged += 1;
      options.onProblem(`history of flows: ${message}`);
    };
    this.traffic = new TrafficStore({ directory, ...options.traffic, clock: options.clock, onDamage });
    this.#files = new SegmentFiles({
      directory,
      prefix: "flows",
      segmentBytesMax: Math.min(segmentBytesMax, Math.ceil(sizeBytesMax / 8)),
      onDamage,
    });
    this.#tails = new TailFiles(directory);
    this.#cursor = ring.firstSequence;
    const due = Math.max(1, Math.floor(ring.capacity / 4));
    this.#leaveRing = ring.onAppend(() => {
      if (ring.nextSequence - this.#cursor >= due) this.#take();
    });
  }

  get sizeBytes(): number {
    return this.#files.sizeBytes;
  }

  /** Nanoseconds since the epoch of the oldest event on the disk. */
  get oldest(): bigint | undefined {
    return this.#onDisk[0]?.earliest;
  }

  /** Everything that is kept, up to the ring's newest event, oldest first: from the given block on. Waits for what earlier runs left. */
  async blocks(fromNumber = Number.NEGATIVE_INFINITY): Promise<readonly StoredBlock[]> {
    await this.#loaded.promise;
    this.#take();
    return [...this.#onDisk, ...this.#inMemory].filter(({ number }) => number >= fromNumber);
  }

  /** Loads what earlier runs left, then keeps what comes until aborted; then what is in memory goes to the disk. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#guard("what is there cannot be read", () => this.#load());
    await this.#guard("sums that are there cannot be read", () => this.traffic.load());
    this.#loaded.resolve();
    while (!signal.aborted) {
      await this.#options.clock.sleep(roundMs, AbortSignal.any([signal, this.#pause.signal])).catch(() => {}); // Rejects only on abort.
      this.#pause = new AbortController();
      await this.#round(false);
    }
    this.#take();
    this.#leaveRing();
    this.#growing(); // There must be one to say that it was the last.
    await this.#round(true);
    await this.#files.close();
  }

  /** Copies what is new in the ring. */
  #take(): void {
    const { ring, clock } = this.#options;
    const nowMs = clock.nowMs();
    if (nowMs - this.#windowMs >= windowMs || nowMs < this.#windowMs) {
      this.#windowMs = nowMs;
      this.#windowEvents = 0;
    }
    while (this.#cursor < ring.nextSequence && this.#windowEvents < eventsPerWindowMax) {
      const block = this.#growing();
      if (block === undefined) return;
      const missed = ring.firstSequence - this.#cursor;
      if (missed > 0) {
        block.events.addGap(missed);
        this.counts.lost += missed;
        this.#cursor = ring.firstSequence;
      }
      const end = Math.min(ring.nextSequence, this.#cursor + eventsPerWindowMax - this.#windowEvents);
      const next = block.take(ring, this.#cursor, end);
      this.#windowEvents += next - this.#cursor;
      this.#cursor = next;
      if (next < end) this.#close();
    }
  }

  /** Undefined when the disk is too slow: the ring keeps what it can, and the rest is lost to history. */
  #growing(): GrowingBlock | undefined {
    const open = this.#inMemory.at(-1);
    const { ring, context, clock, blockBytes = defaultBlockBytes } = this.#options;
    // All of a block is told by one clock.
    if (open !== undefined && open.growing.wallClockOffsetNs !== context.wallClockOffsetNs) this.#close();
    if (open !== undefined && !this.#closed.has(open)) return open.growing;
    if (this.#inMemory.length >= waitingBlocksMax) return undefined;
    const growing = new GrowingBlock({
      sizeBytes: blockBytes,
      origin: { uuidPrefix: ring.uuidPrefix, firstSequence: this.#cursor },
      context,
      openedMs: clock.nowMs(),
      tailPath: this.#tails.nextPath(),
      onEvent: (event) => this.traffic.add(event),
    });
    this.#inMemory.push(new BlockInMemory(this.#nextNumber++, growing, context));
    return growing;
  }

  /** The block that is being filled gets no more. */
  #close(): void {
    const open = this.#inMemory.at(-1);
    if (open !== undefined) this.#closed.add(open);
    this.#pause.abort();
  }

  async #round(isLast: boolean): Promise<void> {
    this.#take();
    const { clock } = this.#options;
    const open = this.#inMemory.at(-1);
    if (open !== undefined && (isLast || clock.nowMs() - open.growing.openedMs >= blockAgeMs)) this.#close();
    for (let block = this.#inMemory[0]; block !== undefined && this.#closed.has(block); block = this.#inMemory[0]) {
      await block.growing.explain();
      await this.#store(block, isLast && this.#inMemory.length === 1);
    }
    const rest = this.#inMemory.at(-1);
    if (rest !== undefined) {
      await rest.growing.explain();
      await this.#guard("the newest are not written", () => this.#writeTail(rest.growing));
    }
    await this.#guard("sums are not kept", () => this.traffic.write(isLast));
    await this.#guard("the oldest are not removed", () => this.#removeOld());
  }

  async #store(block: BlockInMemory, isLast: boolean): Promise<void> {
    const { growing, number } = block;
    const { meta, journal, frames } = growing.seal(isLast);
    const written = await this.#guard("flows are not kept", async () => {
      const place = await this.#files.append(await encodeBlock(meta, journal, frames));
      this.#onDisk.push(new BlockOnDisk(number, place, meta, this.#read));
    });
    if (written) this.counts.stored += meta.count;
    else this.counts.lost += meta.count;
    this.#inMemory.shift();
    await this.#guard("a file is not removed", () => this.#tails.remove(growing.tailPath));
  }

  async #writeTail(growing: GrowingBlock): Promise<void> {
    const tail = growing.takeTail();
    if (tail !== undefined) await this.#tails.append(growing.tailPath, tail.entry, tail.frames);
  }

  async #removeOld(): Promise<void> {
    const { sizeBytesMax, ageMsMax, clock } = this.#options;
    const oldest = BigInt(Math.floor(clock.nowMs() - ageMsMax)) * 1_000_000n;
    for (let segment = this.#files.segments[0]; segment !== undefined; segment = this.#files.segments[0]) {
      const first = segment;
      const tooOld = this.#onDisk.every((block) => block.place.segment !== first || block.latest < oldest);
      if (!tooOld && this.#files.sizeBytes <= sizeBytesMax) return;
      await this.#files.removeOldest();
      this.#onDisk = this.#onDisk.filter((block) => block.place.segment !== first);
    }
  }

  async #load(): Promise<void> {
    const found: Array<ConstructorParameters<typeof BlockOnDisk>> = [];
    await this.#files.load((place, meta) => void found.push([0, place, readBlockMeta(meta), this.#read]));
    const known = new Set(found.map(([, , { run, firstSequence }]) => `${run} ${firstSequence}`));
    for (const tail of await this.#tails.load()) {
      const { uuidPrefix, firstSequence } = tail.origin;
      if (!known.has(`${uuidPrefix} ${firstSequence}`)) {
        const { meta, journal, frames } = recoverBlock(tail);
        found.push([0, await this.#files.append(await encodeBlock(meta, journal, frames)), meta, this.#read]);
      }
      await this.#tails.remove(tail.path);
    }
    // Those of this run have numbers from 0 on.
    this.#onDisk = found.map(([, place, meta, read], index) => new BlockOnDisk(index - found.length, place, meta, read));
  }

  readonly #read = async (block: BlockOnDisk): ReturnType<SegmentFiles["read"]> => {
    while (this.#loads >= loadsMax) await new Promise<void>((resolve) => this.#loadQueue.push(resolve));
    this.#loads += 1;
    try {
      return await this.#files.read(block.place);
    } catch (cause) {
      const { offset, segment } = block.place;
      this.#failed("read", `the block at ${offset} of ${segment.path} cannot be read`, cause);
      throw cause;
    } finally {
      this.#loads -= 1;
      this.#loadQueue.shift()?.();
    }
  };

  async #guard(what: string, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (cause) {
      this.#failed("write", what, cause);
      return false;
    }
  }

  /** Says it once until it has been well for a while, and counts it each time. */
  #failed(kind: "read" | "write", what: string, cause: unknown): void {
    this.counts.failures += 1;
    const nowMs = this.#options.clock.nowMs();
    const said = nowMs - (this.#troubles.get(kind) ?? Number.NEGATIVE_INFINITY) < wellMs;
    this.#troubles.set(kind, nowMs);
    if (said) return;
    this.#options.onProblem(`history of flows in ${this.#options.directory}: ${what}: ${errorMessage(cause)}`);
  }
}

/** A block out of the tail that an agent left when it died. */
function recoverBlock({ origin, gaps, journal, wallClockOffsetNs, frames }: Tail) {
  const events = EventBlock.read(frames, origin, gaps);
  const event = new EventView(new EndpointResolver(new RecordedContext(journal, wallClockOffsetNs)));
  const summary = new SummaryCollector();
  let [earliestNs, latestNs] = [Number.POSITIVE_INFINITY, 0];
  for (let index = 0; index < events.count; index += 1) {
    earliestNs = Math.min(earliestNs, events.timeNsOf(index));
    latestNs = Math.max(latestNs, events.timeNsOf(index));
    if (event.load(events, index) && !event.isLost) summary.add(event);
  }
  const meta: BlockMeta = {
    run: origin.uuidPrefix,
    firstSequence: origin.firstSequence,
    endSequence: events.sequenceOf(events.count),
    count: events.count,
    gaps: events.gaps,
    earliestNs: events.count === 0 ? 0 : earliestNs,
    latestNs,
    wallClockOffsetNs: String(wallClockOffsetNs),
    isLast: false,
    summary: summary.take(),
  };
  return { meta, journal: JSON.stringify(journal), frames };
}
