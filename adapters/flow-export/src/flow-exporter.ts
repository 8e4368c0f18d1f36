import type { EventView, Flow, FlowTime } from "@cilium-ts/flow";
import { type Emitter, type FlowConsumer, FlowJson } from "@cilium-ts/observer";
import type { Clock } from "@cilium-ts/std";
import { Aggregation } from "./aggregation.ts";
import type { ExporterConfig } from "./exporter-config.ts";
import type { LineSink } from "./line-sink.ts";

export interface FlowExporterOptions {
  readonly config: ExporterConfig;
  readonly sink: LineSink;
  readonly emitter: Emitter;
  /** `cluster/node`. */
  readonly nodeName: string;
  readonly clock: Clock;
}

/** Writes the flows that pass its filters as lines. */
export class FlowExporter implements FlowConsumer, AsyncDisposable {
  readonly config: ExporterConfig;
  readonly #options: FlowExporterOptions;
  readonly #json: FlowJson;
  readonly #aggregation: Aggregation | undefined;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(options: FlowExporterOptions) {
    const { config, emitter } = options;
    this.config = config;
    this.#options = options;
    this.#json = new FlowJson({ mask: config.mask, emitter });
    if (config.aggregation === undefined) return;
    const { mask, intervalMs } = config.aggregation;
    const keys = new FlowJson({ mask, emitter });
    this.#aggregation = new Aggregation((flow) => keys.flowLine(flow));
    this.#timer = setInterval(() => this.#tellGroups(), intervalMs).unref();
  }

  get written(): number {
    return this.#options.sink.written;
  }

  get lost(): number {
    return this.#options.sink.lost;
  }

  /** Its time may be over. */
  get isActive(): boolean {
    return this.#options.clock.nowMs() < this.config.endMs;
  }

  wants(event: EventView): boolean {
    return this.config.filters.matches(event);
  }

  consume(flow: Flow): void {
    if (this.#aggregation?.add(flow) === true) return;
    this.#options.sink.append(this.#json.flowLine(flow), flow);
  }

  noteLoss(source: number, count: number, time: FlowTime): void {
    this.#options.sink.append(this.#json.lostLine(source, count, this.#options.nodeName, time));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#tellGroups();
    await this.#options.sink[Symbol.asyncDispose]();
  }

  #tellGroups(): void {
    for (const { flow, extra } of this.#aggregation?.take() ?? []) this.#options.sink.append(this.#json.flowLine(flow, extra), flow);
  }
}
