import { create, toJsonString } from "@bufbuild/protobuf";
import { EventType } from "@cilium-ts/flow";
import { createObserverClients, flowpb, observerpb, unixPathOf } from "@cilium-ts/observer";
import { errorMessage } from "@cilium-ts/std";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Command } from "commander";
import type { Context } from "./context.ts";
import { eventLine } from "./event-line.ts";
import { UsageError } from "./usage-error.ts";

interface MonitorOptions {
  readonly hubbleServer: string;
  readonly type: readonly string[];
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly relatedTo: readonly number[];
  readonly json?: boolean;
  readonly last: number;
}

const types: Readonly<Record<string, number>> = {
  drop: EventType.drop,
  debug: EventType.debug,
  capture: EventType.capture,
  trace: EventType.trace,
  "policy-verdict": EventType.policyVerdict,
  "trace-sock": EventType.traceSock,
};
const hubbleServerDefault = "unix:///var/run/cilium/hubble.sock";

/** Follows the datapath's events. They come from the Hubble server, which reads the kernel's ring for everybody. */
export function addMonitor(program: Command, context: Context): void {
  program
    .command("monitor")
    .description("Show the datapath's events as they come")
    .option("-t, --type <types>", `Only these: ${Object.keys(types).join(", ")}`, collectTypes, [])
    .option("--from <endpoint>", "Only from this endpoint", collectId("from"), [])
    .option("--to <endpoint>", "Only to this endpoint", collectId("to"), [])
    .option("--related-to <endpoint>", "Only from or to this endpoint", collectId("related-to"), [])
    .option("--last <n>", "The last N events first", parseCount, 0)
    .option("-j, --json", "As JSON, one event a line")
    .option("--hubble-server <address>", "Socket of the Hubble server", context.world.env.HUBBLE_SERVER || hubbleServerDefault)
    .action((options: MonitorOptions) => follow(context, options));
}

async function follow(context: Context, options: MonitorOptions): Promise<void> {
  const request = create(observerpb.GetFlowsRequestSchema, {
    follow: true,
    number: BigInt(options.last),
    ...(options.type.length > 0 && { whitelist: [{ eventType: options.type.map((name) => ({ type: types[name] ?? 0 })) }] }),
  });
  if (options.json !== true) context.write("Press Ctrl-C to quit\n");
  try {
    const { observer } = createObserverClients(options.hubbleServer);
    for await (const response of observer.getFlows(request, { signal: context.stopped })) {
      const line = lineOf(response, options);
      if (line !== undefined && !context.world.stdout.write(`${line}\n`)) await drained(context);
    }
  } catch (cause) {
    if (context.stopped.aborted) return;
    throw new UsageError(`events cannot be read from ${options.hubbleServer}: ${reasonOf(cause, options.hubbleServer)}`);
  }
}

function lineOf({ responseTypes }: observerpb.GetFlowsResponse, options: MonitorOptions): string | undefined {
  if (responseTypes.case === "lostEvents") {
    const { source, numEventsLost } = responseTypes.value;
    return `Lost ${numEventsLost} events (${flowpb.LostEventSource[source] ?? source})`;
  }
  if (responseTypes.case !== "flow" || !isWanted(responseTypes.value, options)) return undefined;
  return options.json === true
    ? toJsonString(flowpb.FlowSchema, responseTypes.value, { useProtoFieldName: true })
    : eventLine(responseTypes.value);
}

function isWanted({ source, destination }: flowpb.Flow, { from, to, relatedTo }: MonitorOptions): boolean {
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

function collectTypes(text: string, list: readonly string[]): string[] {
  const names = text.split(",");
  for (const name of names)
    if (!Object.hasOwn(types, name)) throw new UsageError(`--type ${JSON.stringify(name)} is none of ${Object.keys(types).join(", ")}`);
  return [...list, ...names];
}

function collectId(flag: string): (text: string, list: readonly number[]) => number[] {
  return (text, list) => {
    if (!/^[0-9]{1,5}$/.test(text)) throw new UsageError(`--${flag} ${JSON.stringify(text)} is no endpoint's number`);
    return [...list, Number(text)];
  };
}

function parseCount(text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) throw new UsageError(`--last ${JSON.stringify(text)} is no number`);
  return Number(text);
}
