/** A Hubble that does as it is told, for tests. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { flowpb, frameMessage, observerpb, type StreamCall, startGrpcServer } from "@cilium-ts/observer";

/** Fields of a flow, without the name of the message. */
export type FlowInit = Exclude<MessageInitShape<typeof flowpb.FlowSchema>, flowpb.Flow>;

/** Real flows have nanoseconds. */
function timestampFromNanos(timeMs: number) {
  const { seconds, nanos } = timestampFromMs(timeMs);
  return { seconds, nanos: nanos + 123_456 };
}

/** A dropped first packet from default/client to default/server:8080, or what the changes make of it. */
export function hubbleFlow(uuid: string, timeMs: number, changes: FlowInit = {}): FlowInit {
  return {
    uuid,
    time: timestampFromNanos(timeMs),
    verdict: flowpb.Verdict.DROPPED,
    dropReasonDesc: flowpb.DropReason.POLICY_DENIED,
    IP: { source: "10.0.0.1", destination: "10.0.0.2" },
    l4: { protocol: { case: "TCP", value: { sourcePort: 40_000, destinationPort: 8_080, flags: { SYN: true } } } },
    source: { identity: 1_001, namespace: "default", podName: "client", labels: ["k8s:app=client"] },
    destination: { identity: 1_002, namespace: "default", podName: "server", labels: ["k8s:app=server"] },
    trafficDirection: flowpb.TrafficDirection.INGRESS,
    nodeName: "node1",
    ...changes,
  };
}

export class ScriptedHubble implements AsyncDisposable {
  readonly requests: observerpb.GetFlowsRequest[] = [];
  readonly #seen: observerpb.GetFlowsResponse[] = [];
  readonly #wakers = new Set<() => void>();
  #server: Awaited<ReturnType<typeof startGrpcServer>> | undefined;
  #address = "127.0.0.1:0";

  static async start(): Promise<ScriptedHubble> {
    const hubble = new ScriptedHubble();
    await hubble.start();
    return hubble;
  }

  get address(): string {
    return this.#address;
  }

  async start(): Promise<void> {
    this.#server = await startGrpcServer({
      listen: [{ kind: "tcp", address: this.#address }],
      responseHeaders: {},
      streams: { "/observer.Observer/GetFlows": (bytes, call, signal) => this.#getFlows(bytes, call, signal) },
      routes: (router) =>
        router.service(observerpb.Observer, {
          serverStatus: () => ({ numConnectedNodes: 2, unavailableNodes: ["node3"], flowsRate: 12.5, version: "test" }),
        }),
    });
    this.#address = this.#server.addresses[0] ?? "";
  }

  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  see(flow: FlowInit): void {
    this.say({ responseTypes: { case: "flow", value: create(flowpb.FlowSchema, flow) } });
  }

  say(response: MessageInitShape<typeof observerpb.GetFlowsResponseSchema>): void {
    this.#seen.push(create(observerpb.GetFlowsResponseSchema, response));
    for (const wake of this.#wakers) wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #getFlows(bytes: Uint8Array, call: StreamCall, signal: AbortSignal): Promise<void> {
    const request = fromBinary(observerpb.GetFlowsRequestSchema, bytes);
    this.requests.push(request);
    call.open();
    let at = 0;
    for (;;) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wakers.add(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
      const news = this.#seen.slice(at).filter((response) => isAsked(request, response));
      at = this.#seen.length;
      if (news.length > 0)
        await call.write(Buffer.concat(news.map((response) => frameMessage(toBinary(observerpb.GetFlowsResponseSchema, response)))));
      if (!request.follow || signal.aborted) return;
      await promise;
      this.#wakers.delete(resolve);
    }
  }
}

function isAsked({ since, until, whitelist }: observerpb.GetFlowsRequest, { responseTypes }: observerpb.GetFlowsResponse): boolean {
  if (responseTypes.case !== "flow") return true;
  const { time, uuid } = responseTypes.value;
  const seconds = time?.seconds ?? 0n;
  if (since !== undefined && seconds < since.seconds) return false;
  if (until !== undefined && seconds > until.seconds) return false;
  return whitelist.length === 0 || whitelist.some((filter) => filter.uuid.includes(uuid));
}
