import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type flowpb, frameMessage, observerpb, type StreamCall, startGrpcServer } from "@cilium-ts/observer";

/** Where replayed flows come from. */
export interface FlowMaker {
  /** Flows that happened up to a time and were not given before. */
  until(nowMs: number): Iterable<flowpb.Flow>;
}

const keptMax = 100_000;
const beatMs = 20;

interface KeptFlow {
  readonly timeMs: number;
  readonly uuid: string;
  readonly frame: Uint8Array;
}

/** An Observer whose flows come from a maker instead of the kernel. */
export class ReplayHubble implements AsyncDisposable {
  readonly #maker: FlowMaker;
  readonly #kept: KeptFlow[] = [];
  readonly #followers = new Set<(frames: readonly Uint8Array[]) => void>();
  readonly #startMs = Date.now();
  #server: Awaited<ReturnType<typeof startGrpcServer>> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #seen = 0;
  #rate = 0;
  #lastCount = { atMs: Date.now(), seen: 0 };

  /** `pastFlows` are there from the beginning. */
  static async start(maker: FlowMaker, address = "127.0.0.1:0"): Promise<ReplayHubble> {
    const hubble = new ReplayHubble(maker);
    hubble.#take(Date.now());
    hubble.#server = await startGrpcServer({
      listen: [{ kind: "tcp", address }],
      responseHeaders: {},
      streams: { "/observer.Observer/GetFlows": (bytes, call, signal) => hubble.#getFlows(bytes, call, signal) },
      routes: (router) => router.service(observerpb.Observer, { serverStatus: () => hubble.#status() }),
    });
    hubble.#timer = setInterval(() => hubble.#take(Date.now()), beatMs);
    return hubble;
  }

  private constructor(maker: FlowMaker) {
    this.#maker = maker;
  }

  get address(): string {
    return this.#server?.addresses[0] ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#server?.[Symbol.asyncDispose]();
  }

  #take(nowMs: number): void {
    const frames: Uint8Array[] = [];
    for (const flow of this.#maker.until(nowMs)) {
      const response = create(observerpb.GetFlowsResponseSchema, { responseTypes: { case: "flow", value: flow }, nodeName: flow.nodeName });
      const frame = frameMessage(toBinary(observerpb.GetFlowsResponseSchema, response));
      this.#kept.push({ timeMs: flow.time === undefined ? nowMs : timestampMs(flow.time), uuid: flow.uuid, frame });
      frames.push(frame);
    }
    this.#seen += frames.length;
    if (this.#kept.length > keptMax * 2) this.#kept.splice(0, this.#kept.length - keptMax);
    if (frames.length > 0) for (const tell of this.#followers) tell(frames);
    const { atMs, seen } = this.#lastCount;
    if (nowMs - atMs < 1_000) return;
    this.#rate = ((this.#seen - seen) * 1_000) / (nowMs - atMs);
    this.#lastCount = { atMs: nowMs, seen: this.#seen };
  }

  #status() {
    return {
      numFlows: BigInt(this.#kept.length),
      maxFlows: BigInt(keptMax),
      seenFlows: BigInt(this.#seen),
      uptimeNs: BigInt(Date.now() - this.#startMs) * 1_000_000n,
      numConnectedNodes: 10,
      numUnavailableNodes: 0,
      flowsRate: this.#rate,
      version: "replay",
    };
  }

  async #getFlows(bytes: Uint8Array, call: StreamCall, signal: AbortSignal): Promise<void> {
    const request = fromBinary(observerpb.GetFlowsRequestSchema, bytes);
    call.open();
    let queue: Uint8Array[] = this.#past(request).map(({ frame }) => frame);
    let wake = Promise.withResolvers<void>();
    const tell = (frames: readonly Uint8Array[]): void => {
      // A client that does not read misses what a full ring would lose.
      if (queue.length < keptMax) queue.push(...frames);
      wake.resolve();
    };
    if (request.follow) this.#followers.add(tell);
    const stop = (): void => wake.resolve();
    signal.addEventListener("abort", stop, { once: true });
    try {
      while (!signal.aborted) {
        const batch = queue.splice(0, 1_000);
        if (batch.length > 0) await call.write(Buffer.concat(batch));
        else if (!request.follow) return;
        else {
          wake = Promise.withResolvers();
          await wake.promise;
        }
      }
    } finally {
      this.#followers.delete(tell);
      queue = [];
    }
  }

  #past({ since, until, whitelist, number, follow }: observerpb.GetFlowsRequest): readonly KeptFlow[] {
    const sinceMs = since === undefined ? Number.NEGATIVE_INFINITY : timestampMs(since);
    const untilMs = until === undefined ? Number.POSITIVE_INFINITY : timestampMs(until);
    const uuids = new Set(whitelist.flatMap(({ uuid }) => uuid));
    if (follow && number === 0n && since === undefined) return [];
    const asked = this.#kept.filter(({ timeMs, uuid }) => timeMs >= sinceMs && timeMs <= untilMs && (uuids.size === 0 || uuids.has(uuid)));
    return number === 0n ? asked : asked.slice(-Number(number));
  }
}
