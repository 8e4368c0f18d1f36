import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type AgentEventRing, EventView, nodeNameOf, wallClockOf } from "@cilium-ts/flow";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { FlowsReaderOptions } from "../flows/flows-reader-options.ts";
import { DebugEventSchema, DebugEventType } from "../gen/flow/flow_pb.js";
import type { GetAgentEventsResponseSchema, GetDebugEventsResponseSchema, Observer } from "../gen/observer/observer_pb.js";
import { agentEventMessage } from "./agent-event-message.ts";
import { readLog } from "./read-log.ts";

export interface EventServicesOptions extends FlowsReaderOptions {
  readonly agentEvents: AgentEventRing;
  readonly signal: AbortSignal;
}

/** What the agent did, and what the datapath says of itself. */
export function eventServices(options: EventServicesOptions): Pick<ServiceImpl<typeof Observer>, "getAgentEvents" | "getDebugEvents"> {
  const { agentEvents, ring, nowNs } = options;
  const { context } = options.resolver;
  const frame = (timeNs: number) => {
    const { seconds, nanos } = wallClockOf(timeNs, context.wallClockOffsetNs);
    return { nodeName: nodeNameOf(context), time: { seconds: BigInt(seconds), nanos } };
  };
  const common = ({ signal }: HandlerContext) => ({
    wallClockOffsetNs: context.wallClockOffsetNs,
    nowNs,
    signal: AbortSignal.any([signal, options.signal]),
  });
  return {
    getAgentEvents: (request, call) =>
      readLog<MessageInitShape<typeof GetAgentEventsResponseSchema>>(request, {
        ...common(call),
        log: agentEvents,
        read(sequence) {
          const event = agentEvents.eventOf(sequence);
          if (event === undefined) return undefined;
          const timeNs = agentEvents.timeNsOf(sequence);
          return { agentEvent: agentEventMessage(event, wallClockOf(timeNs, context.wallClockOffsetNs)), ...frame(timeNs) };
        },
      }),
    getDebugEvents: (request, call) => {
      const view = new EventView(options.resolver);
      return readLog<MessageInitShape<typeof GetDebugEventsResponseSchema>>(request, {
        ...common(call),
        log: ring,
        read: (sequence) =>
          view.load(ring, sequence) && view.isDebug ? { debugEvent: debugEventMessage(view), ...frame(view.timeNs) } : undefined,
      });
    },
  };
}

function debugEventMessage(view: EventView) {
  const [arg1, arg2, arg3] = view.debugArguments;
  const type = view.subType;
  const source = view.context.endpointById(view.reporter, view.timeNs);
  const { hash } = view;
  return create(DebugEventSchema, {
    type,
    hash,
    arg1,
    arg2,
    arg3,
    message: `${DebugEventType[type] ?? `message ${type}`} ${arg1} ${arg2} ${arg3}`,
    ...(source === undefined
      ? {}
      : {
          source: {
            ID: source.id,
            identity: source.identity,
            clusterName: source.clusterName,
            namespace: source.namespace,
            labels: [...source.labels],
            podName: source.podName,
            workloads: source.workloads.map((workload) => ({ ...workload })),
          },
        }),
  });
}
