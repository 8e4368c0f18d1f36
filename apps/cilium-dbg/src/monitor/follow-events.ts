import { type DescMessage, type MessageShape, toJsonString } from "@bufbuild/protobuf";
import { clean, UsageError } from "@cilium-ts/command-line";
import { createObserverClients, flowpb, type ObserverClient, type observerpb, unixPathOf } from "@cilium-ts/observer";
import { errorMessage } from "@cilium-ts/std";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import { agentJson, agentLine } from "./agent-line.ts";
import { eventDetails, eventLine } from "./event-line.ts";

/** Which events are shown. An empty list: whoever they are about. */
export interface WantedEvents {
  /** Numbers of types of flows; undefined: all of them; empty: none. */
  readonly types: readonly number[] | undefined;
  /** What the agent did. */
  readonly agent: boolean;
  /** What the datapath says of itself. */
  readonly debug: boolean;
  /** Numbers of endpoints; of what the agent did all is shown. */
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly relatedTo: readonly number[];
  /** As JSON, one event a line. */
  readonly json?: boolean;
  /** With who the ends are, and what decided. */
  readonly verbose?: boolean;
  /** How many of those that were before. */
  readonly last: number;
}

/** Until the user has had enough. Throws when the server cannot be reached, or leaves. */
export async function followEvents(context: Context, server: string, wanted: WantedEvents): Promise<void> {
  if (wanted.json !== true) context.write("Press Ctrl-C to quit\n");
  const leave = new AbortController();
  const signal = AbortSignal.any([context.stopped, leave.signal]);
  const print = async (lines: AsyncIterable<string | undefined>): Promise<void> => {
    for await (const line of lines) if (line !== undefined && !context.world.stdout.write(`${line}\n`)) await drained(context);
  };
  try {
    await Promise.all(sources(createObserverClients(server).observer, wanted, signal).map(print));
  } catch (cause) {
    if (context.stopped.aborted) return;
    throw new UsageError(`events cannot be read from ${server}: ${reasonOf(cause, server)}`);
  } finally {
    leave.abort();
  }
}

/** Lines of all that is wanted, one source for each of the server's streams. */
function sources(observer: ObserverClient, wanted: WantedEvents, signal: AbortSignal): Array<AsyncIterable<string | undefined>> {
  const { types, json = false } = wanted;
  const request = { follow: true, number: BigInt(wanted.last) };
  const list: Array<AsyncIterable<string | undefined>> = [];
  if (types === undefined || types.length > 0) {
    const whitelist = types === undefined ? [] : [{ eventType: types.map((type) => ({ type })) }];
    list.push(mapped(observer.getFlows({ ...request, whitelist }, { signal }), (response) => lineOf(response, wanted)));
  }
  if (wanted.agent)
    list.push(
      mapped(observer.getAgentEvents(request, { signal }), ({ agentEvent: event }) =>
        event === undefined ? undefined : json ? agentJson(event) : agentLine(event),
      ),
    );
  if (wanted.debug)
    list.push(
      mapped(observer.getDebugEvents(request, { signal }), ({ debugEvent: event }) =>
        event === undefined ? undefined : json ? messageJson(flowpb.DebugEventSchema, event) : debugLine(event),
      ),
    );
  return list;
}

async function* mapped<T>(responses: AsyncIterable<T>, line: (response: T) => string | undefined): AsyncIterable<string | undefined> {
  for await (const response of responses) yield line(response);
}

function debugLine({ cpu, source, type, message }: flowpb.DebugEvent): string {
  return clean(`CPU ${cpu ?? "?"}: endpoint ${source?.ID ?? 0} ${flowpb.DebugEventType[type] ?? type}: ${message}`);
}

function lineOf({ responseTypes }: observerpb.GetFlowsResponse, wanted: WantedEvents): string | undefined {
  if (responseTypes.case === "lostEvents") {
    if (wanted.json === true) return messageJson(flowpb.LostEventSchema, responseTypes.value);
    const { source, numEventsLost } = responseTypes.value;
    return `Lost ${numEventsLost} events (${flowpb.LostEventSource[source] ?? source})`;
  }
  if (responseTypes.case !== "flow" || !isWanted(responseTypes.value, wanted)) return undefined;
  const flow = responseTypes.value;
  if (wanted.json === true) return messageJson(flowpb.FlowSchema, flow);
  return wanted.verbose === true ? [eventLine(flow), ...eventDetails(flow)].join("\n") : eventLine(flow);
}

function messageJson<Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>): string {
  return toJsonString(schema, message, { useProtoFieldName: true });
}

function isWanted({ source, destination }: flowpb.Flow, { from, to, relatedTo }: WantedEvents): boolean {
  const [sender, receiver] = [source?.ID ?? 0, destination?.ID ?? 0];
  if (from.length > 0 && !from.includes(sender)) return false;
  if (to.length > 0 && !to.includes(receiver)) return false;
  return relatedTo.length === 0 || relatedTo.includes(sender) || relatedTo.includes(receiver);
}

function reasonOf(cause: unknown, server: string): string {
  if (!(cause instanceof ConnectError)) return errorMessage(cause);
  if (cause.code === Code.Unavailable || cause.code === Code.Internal || cause.code === Code.Unknown)
    return `${cause.rawMessage}: is the agent running${unixPathOf(server) === undefined ? "" : ", and are you root"}?`;
  return cause.rawMessage;
}

async function drained({ world: { stdout }, stopped }: Context): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => resolve();
  stdout.once("drain", done).once("close", done);
  stopped.addEventListener("abort", done);
  await promise;
  stopped.removeEventListener("abort", done);
  stdout.off("drain", done).off("close", done);
}
