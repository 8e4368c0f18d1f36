import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { clean, UsageError } from "@cilium-ts/command-line";
import { createObserverClients, observationOf, observerpb, parseFlowLine, relaypb } from "@cilium-ts/observer";
import type { Observation } from "@cilium-ts/policy-advice";
import { errorMessage, parseDuration } from "@cilium-ts/std";
import { ConnectError } from "@connectrpc/connect";
import type { Command } from "commander";
import type { Context } from "../context.ts";

export interface FlowOptions {
  readonly flows?: string;
  readonly since: string;
  readonly server?: string;
}

const serverDefault = "localhost:4245";

export function addFlowFlags(command: Command, sinceDefault: string): Command {
  return command
    .option("--flows <file>", "Flows that an exporter or hubble observe -o jsonpb wrote, - for standard input; otherwise Hubble is asked")
    .option("--since <duration>", "How far back to look", sinceDefault)
    .option("--server <address>", `Hubble server or relay: unix:///path or host:port (HUBBLE_SERVER, ${serverDefault})`);
}

/** What was recorded, from a file or from Hubble. */
export async function* readObservations(options: FlowOptions, context: Context): AsyncGenerator<Observation, void> {
  const sinceMs = parseDuration(options.since);
  if (sinceMs === undefined) throw new UsageError(`--since ${JSON.stringify(options.since)} is no duration such as 1h or 30m`);
  if (options.flows === undefined) yield* askHubble(options, context.world.clock.nowMs() - sinceMs, context);
  else yield* readFile(options.flows, context);
}

/** Of a file all flows count: whoever made it chose them. */
async function* readFile(path: string, { world }: Context): AsyncGenerator<Observation, void> {
  const input = path === "-" ? world.stdin : createReadStream(path);
  let lineNumber = 0;
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      lineNumber += 1;
      if (line.trim() === "") continue;
      const { responseTypes } = parseFlowLine(line);
      if (responseTypes.case === "flow") yield observationOf(responseTypes.value);
    }
  } catch (cause) {
    if (lineNumber === 0) throw new UsageError(`--flows ${path} cannot be read: ${errorMessage(cause)}`);
    throw new UsageError(`${path}, line ${lineNumber} is no flow in JSON: ${errorMessage(cause)}`);
  }
}

async function* askHubble({ server }: FlowOptions, sinceMs: number, context: Context): AsyncGenerator<Observation, void> {
  const address = server ?? context.world.env.HUBBLE_SERVER ?? serverDefault;
  const { observer } = createObserverClients(address, undefined);
  const request = create(observerpb.GetFlowsRequestSchema, { since: timestampFromMs(sinceMs) });
  try {
    for await (const { responseTypes } of observer.getFlows(request, { signal: context.stopped })) {
      if (responseTypes.case === "flow") yield observationOf(responseTypes.value);
      else if (responseTypes.case === "lostEvents") yield { kind: "unusable", reason: "lost before anybody could read it" };
      else if (responseTypes.case === "nodeStatus") tellMissing(responseTypes.value, context);
    }
  } catch (cause) {
    const reason = cause instanceof ConnectError ? cause.rawMessage : errorMessage(cause);
    throw new UsageError(`${address}: ${reason}. Name another server with --server or HUBBLE_SERVER, or give recorded flows with --flows`);
  }
}

/** What some nodes saw is missing: an answer that does not say so would be taken for the whole. */
function tellMissing({ stateChange, nodeNames }: relaypb.NodeStatusEvent, { world }: Context): void {
  const { NODE_UNAVAILABLE, NODE_ERROR } = relaypb.NodeState;
  if (stateChange !== NODE_UNAVAILABLE && stateChange !== NODE_ERROR) return;
  world.stderr.write(`cilium: flows of ${clean(nodeNames.join(", "))} are missing: the relay cannot reach them\n`);
}
