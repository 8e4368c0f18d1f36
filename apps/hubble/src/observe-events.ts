import { create, type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { clean } from "@cilium-ts/command-line";
import { flowpb, observerpb } from "@cilium-ts/observer";
import { type Command, Option } from "commander";
import { type ConnectionOptions, openClients, serverError } from "./connection.ts";
import type { SelectorFlags } from "./flow-request.ts";
import { addSelectorFlags } from "./observe.ts";
import { Output } from "./output.ts";
import { formatTime, parseTime, parseTimeFormat } from "./time-format.ts";
import type { World } from "./world.ts";

interface EventOptions extends ConnectionOptions, SelectorFlags {
  readonly output: "compact" | "json" | "jsonpb";
  readonly timeFormat: string;
  readonly printNodeName?: boolean;
}

interface EventResponse {
  readonly nodeName: string;
  readonly time?: Timestamp | undefined;
}

const countDefault = 20n;

/** `observe agent-events` and `observe debug-events`. */
export function addObserveEvents(observe: Command, world: World, signal: AbortSignal): Command[] {
  const add = (name: string, description: string): Command => {
    const command = observe.command(name).description(description);
    addSelectorFlags(command);
    return command
      .addOption(new Option("-o, --output <format>", "How events are shown").choices(["compact", "json", "jsonpb"]).default("compact"))
      .option("--time-format <format>", "How times are shown, except in JSON", "StampMilli")
      .option("--print-node-name", "Show the node of an event");
  };
  const agent = add("agent-events", "Show what happened in agents").action((options: EventOptions) =>
    printEvents(options, world, signal, async function* () {
      const request = create(observerpb.GetAgentEventsRequestSchema, selectorsOf(options, world.nowMs()));
      for await (const response of (await openClients(options)).observer.getAgentEvents(request, { signal }))
        yield { response, json: json(observerpb.GetAgentEventsResponseSchema, response), text: agentEventText(response.agentEvent) };
    }),
  );
  const debug = add("debug-events", "Show what the datapath says when it is debugged").action((options: EventOptions) =>
    printEvents(options, world, signal, async function* () {
      const request = create(observerpb.GetDebugEventsRequestSchema, selectorsOf(options, world.nowMs()));
      for await (const response of (await openClients(options)).observer.getDebugEvents(request, { signal }))
        yield { response, json: json(observerpb.GetDebugEventsResponseSchema, response), text: debugEventText(response.debugEvent) };
    }),
  );
  return [agent, debug];
}

function selectorsOf({ all = false, first = 0, last = 0, follow = false, since, until }: SelectorFlags, nowMs: number) {
  const bounded = since !== undefined || until !== undefined || follow || all;
  return {
    number: BigInt(first || last) || (bounded ? 0n : countDefault),
    first: first > 0,
    follow,
    ...(since === undefined ? {} : { since: timestampFromMs(parseTime(since, nowMs)) }),
    ...(until === undefined ? {} : { until: timestampFromMs(parseTime(until, nowMs)) }),
  };
}

async function printEvents(
  options: EventOptions,
  world: World,
  signal: AbortSignal,
  events: () => AsyncIterable<{ readonly response: EventResponse; readonly json: unknown; readonly text: string }>,
): Promise<void> {
  const out = new Output(world.stdout);
  const format = parseTimeFormat(options.timeFormat);
  try {
    for await (const { response, json: object, text } of events()) {
      const node = options.printNodeName === true ? ` [${response.nodeName}]` : "";
      out.write(
        options.output === "compact" ? `${formatTime(format, response.time)}${clean(`${node}: ${text}`)}\n` : `${JSON.stringify(object)}\n`,
      );
      await out.ready();
    }
  } catch (cause) {
    if (!signal.aborted) throw serverError(options.server, cause);
  } finally {
    await out.end();
  }
}

/** The kind of the event, then its fields as JSON: there are many kinds, and more will come. */
function agentEventText(event: flowpb.AgentEvent | undefined): string {
  if (event === undefined) return "no event";
  const { type: _type, ...fields } = json(flowpb.AgentEventSchema, event);
  return `${flowpb.AgentEventType[event.type] ?? event.type} ${JSON.stringify(Object.values(fields)[0] ?? {})}`;
}

function debugEventText(event: flowpb.DebugEvent | undefined): string {
  if (event === undefined) return "no event";
  return `${flowpb.DebugEventType[event.type] ?? event.type} ${event.source?.podName || (event.source?.ID ?? "")} ${event.message} (CPU ${event.cpu ?? "unknown"})`;
}

function json<Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>): Record<string, unknown> {
  return toJson(schema, message, { useProtoFieldName: true }) as Record<string, unknown>;
}
