import { type EventView, TrafficCounter, type TrafficParty, TrafficSum, type TrafficTable } from "@cilium-ts/flow";
import { type Clock, errorMessage } from "@cilium-ts/std";
import { encodeBlock } from "./block-codec.ts";
import { FlowStoreError } from "./errors.ts";
import { type BlockPlace, SegmentFiles } from "./segment-files.ts";

export interface TrafficStoreOptions {
  readonly directory: string;
  readonly sizeBytesMax: number;
  readonly ageMsMax: number;
  readonly clock: Clock;
  readonly onDamage: (message: string) => void;
}

/** When a table began and ended, milliseconds since the epoch. */
interface Period {
  readonly fromMs: number;
  readonly toMs: number;
}

interface StoredTable {
  readonly place: BlockPlace;
  readonly period: Period;
}

export interface TrafficAnswer {
  readonly sum: TrafficSum;
  /** Undefined: there is nothing of that time. */
  readonly period: Period | undefined;
}

export interface TrafficQuery {
  readonly fromMs: number;
  readonly toMs: number;
  readonly wanted: (client: TrafficParty, server: TrafficParty) => boolean;
}

const periodMs = 60_000;
const segmentBytesMax = 1_048_576;
const noBytes = new Uint8Array(0);

/** Sums of traffic, a table a minute, within a size and an age. The minute that is being summed up is lost when the process dies. */
export class TrafficStore {
  readonly #options: TrafficStoreOptions;
  readonly #files: SegmentFiles;
  readonly #counter = new TrafficCounter();
  #tables: StoredTable[] = [];
  #sinceMs: number;

  constructor(options: TrafficStoreOptions) {
    this.#options = options;
    const { directory, sizeBytesMax, clock, onDamage } = options;
    this.#files = new SegmentFiles({
      directory,
      prefix: "traffic",
      segmentBytesMax: Math.min(segmentBytesMax, Math.ceil(sizeBytesMax / 8)),
      onDamage,
    });
    this.#sinceMs = clock.nowMs();
  }

  get sizeBytes(): number {
    return this.#files.sizeBytes;
  }

  add(event: EventView): void {
    this.#counter.add(event);
  }

  async load(): Promise<void> {
    await this.#files.load((place, meta) => void this.#tables.push({ place, period: readPeriod(meta) }));
  }

  /** To be called about once a second; `now`: what there is, however little. */
  async write(now: boolean): Promise<void> {
    const { clock, sizeBytesMax, ageMsMax } = this.#options;
    const nowMs = clock.nowMs();
    if (now || nowMs - this.#sinceMs >= periodMs) {
      const period = { fromMs: Math.min(this.#sinceMs, nowMs), toMs: nowMs };
      this.#sinceMs = nowMs;
      if (!this.#counter.isEmpty) {
        const text = JSON.stringify(this.#counter.table());
        this.#counter.clear();
        this.#tables.push({ place: await this.#files.append(await encodeBlock(period, text, noBytes)), period });
      }
    }
    for (let segment = this.#files.segments[0]; segment !== undefined; segment = this.#files.segments[0]) {
      const first = segment;
      const tooOld = this.#tables.every(({ place, period }) => place.segment !== first || period.toMs < nowMs - ageMsMax);
      if (!tooOld && this.#files.sizeBytes <= sizeBytesMax) break;
      await this.#files.removeOldest();
      this.#tables = this.#tables.filter(({ place }) => place.segment !== first);
    }
    if (now) await this.#files.close();
  }

  /** Adds up the minutes that overlap; the period is that of all of them together. */
  async sum({ fromMs, toMs, wanted }: TrafficQuery): Promise<TrafficAnswer> {
    const sum = new TrafficSum();
    let added: Period | undefined;
    const add = (table: TrafficTable, period: Period): void => {
      sum.addTable(table, wanted);
      added = { fromMs: Math.min(added?.fromMs ?? period.fromMs, period.fromMs), toMs: Math.max(added?.toMs ?? 0, period.toMs) };
    };
    const running = { fromMs: this.#sinceMs, toMs: this.#options.clock.nowMs() };
    const unwritten = this.#counter.isEmpty || !overlap(running, { fromMs, toMs }) ? undefined : this.#counter.table();
    for (const table of [...this.#tables]) {
      if (!overlap(table.period, { fromMs, toMs })) continue;
      const read = await this.#read(table);
      if (read !== undefined) add(read, table.period);
    }
    if (unwritten !== undefined) add(unwritten, running);
    return { sum, period: added };
  }

  /** Undefined for what was removed meanwhile, and for what is damaged, which is said once. */
  async #read(table: StoredTable): Promise<TrafficTable | undefined> {
    try {
      return JSON.parse((await this.#files.read(table.place)).text) as TrafficTable;
    } catch (cause) {
      if (!this.#tables.includes(table)) return undefined;
      this.#tables = this.#tables.filter((other) => other !== table);
      const { offset, segment } = table.place;
      this.#options.onDamage(`the sums at ${offset} of ${segment.path} are left out: ${errorMessage(cause)}`);
      return undefined;
    }
  }
}

function overlap(one: Period, other: Period): boolean {
  return one.fromMs <= other.toMs && one.toMs >= other.fromMs;
}

function readPeriod(meta: unknown): Period {
  const { fromMs, toMs } = meta as Partial<Period>;
  if (typeof fromMs !== "number" || typeof toMs !== "number") throw new FlowStoreError("its description is of another kind");
  return { fromMs, toMs };
}
