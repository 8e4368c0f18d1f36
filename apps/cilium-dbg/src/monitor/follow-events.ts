import { create, toJsonString } from "@bufbuild/protobuf";
import { UsageError } from "@cilium-ts/command-line";
import { createObserverClients, flowpb, observerpb, unixPathOf } from "@cilium-ts/observer";
import { errorMessage } from "@cilium-ts/std";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Context } from "../context.ts";
import { eventLine } from "./event-line.ts";

/** Which events are shown. An empty list: whatever they are, or whoever they are about. */
export interface WantedEvents {
  /** Numbers of event types. */
  readonly types: readonly number[];
  /** Numbers of endpoints. */
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly relatedTo: readonly number[];
  /** As JSON, one event a line. */
  readonly json?: boolean;
  /** How many of those that were before. */
  readonly last: number;
}

/** Until the user has had enough. Throws when the server cannot be reached, or leaves. */
export async function followEvents(context: Context, server: string, wanted: WantedEvents): Promise<void> {
  const request = create(observerpb.GetFlowsRequestSchema, {
    follow: true,
    number: BigInt(wanted.last),
    ...(wanted.types.length > 0 && { whitelist: [{ eventType: wanted.types.map((type) => ({ type })) }] }),
  });
  if (wanted.json !== true) context.write("Press Ctrl-C to quit\n");
  try {
    const { observer } = createObserverClients(server);
    for await (const response of observer.getFlows(request, { signal: context.stopped })) {
      const line = lineOf(response, wanted);
      if (line !== undefined && !context.world.stdout.write(`${line}\n`)) await drained(context);
    }
  } catch (cause) {
    if (context.stopped.aborted) return;
    throw new UsageError(`events cannot be read from ${server}: ${reasonOf(cause, server)}`);
  }
}

function lineOf({ responseTypes }: observerpb.GetFlowsResponse, wanted: WantedEvents): string | undefined {
  if (responseTypes.case === "lostEvents") {
    const { source, numEventsLost } = responseTypes.value;
    return `Lost ${numEventsLost} events (${flowpb.LostEventSource[source] ?? source})`;
  }
  if (responseTypes.case !== "flow" || !isWanted(responseTypes.value, wanted)) return undefined;
  return wanted.json === true
    ? toJsonString(flowpb.FlowSchema, responseTypes.value, { useProtoFieldName: true })
    : eventLine(responseTypes.value);
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
