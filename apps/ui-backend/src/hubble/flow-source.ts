import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type flowpb, GrpcConnection, type GrpcTarget, grpcHeaderBytes, observerpb, relaypb } from "@cilium-ts/observer";
import type { SeenFlow, SourceState } from "@cilium-ts/service-map";
import { type Clock, createBackOff, errorMessage } from "@cilium-ts/std";
import { FlowReader } from "./read-flow.ts";

export interface FlowSourceOptions {
  readonly clock: Clock;
  /** The relay, or one node's Hubble. Asked at each attempt, because certificates are replaced. */
  readonly target: () => GrpcTarget;
  /** How many of the last flows to begin with. */
  readonly lastCount: number;
  readonly log: { info(text: string): void; warn(text: string): void };
  readonly retryDelayMs?: { readonly min: number; readonly max: number };
}

export interface FlowRange {
  readonly sinceMs: number;
  readonly untilMs: number;
  /** The newest so many. */
  readonly countMax: number;
}

const connectTimeoutMs = 5_000;
const statusIntervalMs = 5_000;
/** After a lost connection flows are asked for from a little earlier; those that were seen are known by their ids. */
const overlapMs = 2_000;
const seenIdsMax = 50_000;
const getFlowsPath = "/observer.Observer/GetFlows";

/** Follows Hubble's flows, for as long as it runs; a lost connection is made again, and what was missed meanwhile is asked for. */
export class FlowSource {
  readonly #options: FlowSourceOptions;
  readonly #reader = new FlowReader();
  readonly #listeners = new Set<(flow: SeenFlow) => void>();
  readonly #unavailable = new Set<string>();
  readonly #seenIds = new Set<string>();
  #state: SourceState = {
    connection: "connecting",
    reason: "",
    retryInMs: 0,
    connectedNodes: 0,
    unavailableNodes: [],
    flowsPerSecond: 0,
    lostEvents: 0,
    version: "",
  };
  #lastMs = 0;
  /** Flows read since the start. */
  readCount = 0;

  constructor(options: FlowSourceOptions) {
    this.#options = options;
  }

  get state(): SourceState {
    return this.#state;
  }

  /** The returned function ends it. */
  onFlow(listener: (flow: SeenFlow) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, retryDelayMs = { min: 500, max: 10_000 } } = this.#options;
    const backOff = createBackOff({ delayMsMin: retryDelayMs.min, delayMsMax: retryDelayMs.max });
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      let reason: string;
      try {
        await this.#follow(signal, () => {
          attempt = 0;
        });
        reason = "Hubble ended the stream";
      } catch (cause) {
        reason = errorMessage(cause);
      }
      if (signal.aborted) return;
      const retryInMs = backOff.delayMs(Math.max(1, attempt));
      if (this.#state.connection !== "lost" || this.#state.reason !== reason) log.warn(`no flows from Hubble: ${reason}; trying again`);
      this.#state = { ...this.#state, connection: "lost", reason, retryInMs, flowsPerSecond: 0 };
      await clock.sleep(retryInMs, signal).catch(() => {});
    }
  }

  /** Flows of a range of the past, the oldest first, in batches. Throws a GrpcError that says what is wrong. */
  async *range(range: FlowRange, signal: AbortSignal): AsyncGenerator<readonly SeenFlow[], void> {
    for await (const flows of this.recorded(range, signal)) yield this.readAll(flows);
  }

  /** The same as Hubble has them. */
  recorded({ sinceMs, untilMs, countMax }: FlowRange, signal: AbortSignal): AsyncGenerator<readonly flowpb.Flow[], void> {
    const request = create(observerpb.GetFlowsRequestSchema, {
      number: BigInt(countMax),
      since: timestampFromMs(Math.floor(sinceMs)),
      until: timestampFromMs(Math.ceil(untilMs)),
    });
    return this.#request(request, signal);
  }

  /** Without what has no two ends. */
  readAll(flows: readonly flowpb.Flow[]): readonly SeenFlow[] {
    return flows.map((flow) => this.#reader.read(flow)).filter((flow) => flow !== undefined);
  }

  /** One flow with all that Hubble knows of it; undefined when Hubble has it no more. */
  async find(uuid: string, timeMs: number, signal: AbortSignal): Promise<flowpb.Flow | undefined> {
    const request = create(observerpb.GetFlowsRequestSchema, {
      number: 1n,
      since: timestampFromMs(Math.floor(timeMs) - 1_000),
      until: timestampFromMs(Math.floor(timeMs) + 1_000),
      whitelist: [{ uuid: [uuid] }],
    });
    for await (const [flow] of this.#request(request, signal)) if (flow !== undefined) return flow;
    return undefined;
  }

  async *#request(request: observerpb.GetFlowsRequest, signal: AbortSignal): AsyncGenerator<readonly flowpb.Flow[], void> {
    await using connection = await GrpcConnection.open(this.#options.target(), { timeoutMs: connectTimeoutMs, signal });
    const bytes = toBinary(observerpb.GetFlowsRequestSchema, request);
    for await (const frames of connection.stream(getFlowsPath, bytes, { signal })) {
      const flows: flowpb.Flow[] = [];
      for (const frame of frames) {
        const { responseTypes } = fromBinary(observerpb.GetFlowsResponseSchema, frame.subarray(grpcHeaderBytes));
        if (responseTypes.case === "flow") flows.push(responseTypes.value);
      }
      yield flows;
    }
  }

  async #follow(signal: AbortSignal, onConnected: () => void): Promise<void> {
    const { target, lastCount, log } = this.#options;
    await using connection = await GrpcConnection.open(target(), { timeoutMs: connectTimeoutMs, signal });
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    const statuses = this.#watchStatus(connection, both, () => {
      onConnected();
      if (this.#state.connection === "connected") return;
      log.info(`flows come from ${target().address}`);
      this.#state = { ...this.#state, connection: "connected", reason: "", retryInMs: 0 };
    });
    try {
      const begin = this.#lastMs === 0 ? { number: BigInt(lastCount) } : { since: timestampFromMs(Math.floor(this.#lastMs) - overlapMs) };
      const bytes = toBinary(observerpb.GetFlowsRequestSchema, create(observerpb.GetFlowsRequestSchema, { ...begin, follow: true }));
      for await (const frames of connection.stream(getFlowsPath, bytes, { signal: both })) {
        for (const frame of frames) this.#take(fromBinary(observerpb.GetFlowsResponseSchema, frame.subarray(grpcHeaderBytes)));
      }
    } finally {
      stop.abort();
      await statuses;
    }
  }

  #take({ responseTypes }: observerpb.GetFlowsResponse): void {
    switch (responseTypes.case) {
      case "flow": {
        const flow = this.#reader.read(responseTypes.value);
        if (flow === undefined || this.#isKnown(flow)) return;
        this.readCount += 1;
        this.#lastMs = Math.max(this.#lastMs, flow.timeMs);
        for (const tell of this.#listeners) tell(flow);
        return;
      }
      case "lostEvents":
        this.#state = { ...this.#state, lostEvents: this.#state.lostEvents + Number(responseTypes.value.numEventsLost) };
        return;
      case "nodeStatus": {
        const { stateChange, nodeNames } = responseTypes.value;
        for (const name of nodeNames) {
          if (stateChange === relaypb.NodeState.NODE_UNAVAILABLE || stateChange === relaypb.NodeState.NODE_ERROR)
            this.#unavailable.add(name);
          else this.#unavailable.delete(name);
        }
        this.#state = { ...this.#state, unavailableNodes: [...this.#unavailable].sort() };
      }
    }
  }

  #isKnown({ uuid }: SeenFlow): boolean {
    if (uuid === "") return false;
    if (this.#seenIds.has(uuid)) return true;
    if (this.#seenIds.size >= seenIdsMax) {
      const [oldest = ""] = this.#seenIds;
      this.#seenIds.delete(oldest);
    }
    this.#seenIds.add(uuid);
    return false;
  }

  /** A server that answers is one that serves, also while there are no flows. Ends quietly with the connection, which the stream tells of. */
  async #watchStatus(connection: GrpcConnection, signal: AbortSignal, onAnswer: () => void): Promise<void> {
    while (!signal.aborted && !connection.isClosed) {
      try {
        const status = await connection.unary("/observer.Observer/ServerStatus", observerpb.ServerStatusResponseSchema, { signal });
        if (signal.aborted) return;
        onAnswer();
        this.#unavailable.clear();
        for (const name of status.unavailableNodes) this.#unavailable.add(name);
        this.#state = {
          ...this.#state,
          connectedNodes: status.numConnectedNodes ?? 1,
          unavailableNodes: [...this.#unavailable].sort(),
          flowsPerSecond: status.flowsRate,
          version: status.version,
        };
      } catch (cause) {
        if (signal.aborted || connection.isClosed) return;
        this.#options.log.warn(`Hubble's status: ${errorMessage(cause)}`);
      }
      await this.#options.clock.sleep(statusIntervalMs, signal).catch(() => {});
    }
  }
}
