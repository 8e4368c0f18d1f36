import { toJson } from "@bufbuild/protobuf";
import { Columns, UsageError } from "@cilium-ts/command-line";
import { healthpb, observerpb } from "@cilium-ts/observer";
import type { Command } from "commander";
import { type ConnectionOptions, callOptionsOf, openClients, serverError } from "./connection.ts";
import { parseOutput } from "./observe.ts";
import type { OutputFormat } from "./printer.ts";
import type { World } from "./world.ts";

interface StatusOptions extends ConnectionOptions {
  readonly output: string;
}

export function addStatus(program: Command, world: World, signal: AbortSignal): Command {
  return program
    .command("status")
    .description("Show the state of a Hubble server")
    .option("-o, --output <format>", "How it is shown: compact, dict, json or table", "compact")
    .action(async (options: StatusOptions) => {
      const format = parseOutput(options.output);
      const callOptions = callOptionsOf(options, signal);
      const { observer, health } = await openClients(options);
      try {
        const { status: healthStatus } = await health.check({ service: "hubble.server.Observer" }, callOptions);
        const healthy = healthStatus === healthpb.HealthCheckResponse_ServingStatus.SERVING;
        const healthText = healthy ? "Ok" : `Unavailable: ${healthpb.HealthCheckResponse_ServingStatus[healthStatus]}`;
        if (format === "compact") world.stdout.write(`Healthcheck (via ${options.server}): ${healthText}\n`);
        if (!healthy) throw new UsageError(`the Hubble server at ${options.server} is not serving`);
        world.stdout.write(formatStatus(await observer.serverStatus({}, callOptions), format));
      } catch (cause) {
        throw serverError(options.server, cause);
      }
    });
}

export function formatStatus(status: observerpb.ServerStatusResponse, format: OutputFormat): string {
  const flows = grouped(status.numFlows);
  const max = grouped(status.maxFlows);
  const rate = status.flowsRate > 0 ? status.flowsRate.toFixed(2) : "N/A";
  const uptimeSeconds = Number(status.uptimeNs) / 1e9;
  const cells = [
    ["NUM FLOWS", flows],
    ["MAX FLOWS", max],
    ["SEEN FLOWS", grouped(status.seenFlows)],
    ["FLOWS PER SECOND", rate],
    ["UPTIME", formatUptime(uptimeSeconds)],
    ["NUM CONNECTED NODES", String(status.numConnectedNodes ?? "N/A")],
    [format === "table" ? "NUM UNAVAILABLE NODES" : "NUM UNAVAIL. NODES", String(status.numUnavailableNodes ?? "N/A")],
    ["VERSION", status.version],
  ] as const;
  if (format === "json" || format === "jsonpb") {
    return `${JSON.stringify(toJson(observerpb.ServerStatusResponseSchema, status, { useProtoFieldName: true }))}\n`;
  }
  if (format === "dict") return cells.map(([name, value]) => `${name.padStart(19)}: ${value}\n`).join("");
  if (format === "table") {
    const columns = new Columns();
    columns.add(cells.map(([name]) => name));
    columns.add(cells.map(([, value]) => value));
    return columns.take();
  }
  const ratio = status.maxFlows > 0n ? ` (${((Number(status.numFlows) / Number(status.maxFlows)) * 100).toFixed(2)}%)` : "";
  const average = rate === "N/A" && uptimeSeconds > 0 ? (Number(status.seenFlows) / uptimeSeconds).toFixed(2) : rate;
  return `Current/Max Flows: ${flows}/${max}${ratio}\nFlows/s: ${average}\n${nodesText(status)}`;
}

function nodesText(status: observerpb.ServerStatusResponse): string {
  const { numConnectedNodes: connected, numUnavailableNodes: unavailable } = status;
  let text = "";
  if (connected !== undefined) text += `Connected Nodes: ${connected}${unavailable === undefined ? "" : `/${connected + unavailable}`}\n`;
  if (unavailable === undefined || unavailable === 0) return text;
  const names = status.unavailableNodes.toSorted();
  if (names.length > 0 && unavailable > names.length) names.push(`and ${unavailable - names.length} more...`);
  return `${text}Unavailable Nodes: ${unavailable}\n${names.map((name) => `  - ${name}\n`).join("")}`;
}

/** `4,095`. */
function grouped(value: bigint): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** `1h2m3s`. */
function formatUptime(seconds: number): string {
  const whole = Math.floor(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return `${hours > 0 ? `${hours}h` : ""}${whole >= 60 ? `${minutes}m` : ""}${whole % 60}s`;
}
