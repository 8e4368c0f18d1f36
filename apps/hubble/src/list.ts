import { toJson } from "@bufbuild/protobuf";
import { Columns, clean } from "@cilium-ts/command-line";
import { observerpb, relaypb } from "@cilium-ts/observer";
import { type Command, Option } from "commander";
import { type ConnectionOptions, callOptionsOf, openClients, serverError } from "./connection.ts";
import type { World } from "./world.ts";

interface ListOptions extends ConnectionOptions {
  readonly output: "table" | "wide" | "json";
}

/** `list nodes|namespaces`. The first asks a relay: a node knows only itself. */
export function addList(program: Command, world: World, signal: AbortSignal): Command[] {
  const command = program.command("list").description("List what a Hubble server knows");
  const output = (): Option => new Option("-o, --output <format>", "How it is shown").choices(["table", "wide", "json"]).default("table");
  const nodes = command.command("nodes").alias("node").description("List the nodes of a relay").addOption(output());
  nodes.action(async (options: ListOptions) => {
    const { observer } = await openClients(options);
    try {
      world.stdout.write(formatNodes(await observer.getNodes({}, callOptionsOf(options, signal)), options.output));
    } catch (cause) {
      throw serverError(options.server, cause);
    }
  });
  const namespaces = command.command("namespaces").alias("ns").description("List the namespaces of recent flows").addOption(output());
  namespaces.action(async (options: ListOptions) => {
    const { observer } = await openClients(options);
    try {
      world.stdout.write(formatNamespaces(await observer.getNamespaces({}, callOptionsOf(options, signal)), options.output));
    } catch (cause) {
      throw serverError(options.server, cause);
    }
  });
  return [nodes, namespaces];
}

export function formatNodes(response: observerpb.GetNodesResponse, output: ListOptions["output"]): string {
  if (output === "json") return `${JSON.stringify(toJson(observerpb.GetNodesResponseSchema, response, { useProtoFieldName: true }))}\n`;
  const wide = output === "wide";
  const columns = new Columns();
  columns.add(["NAME", "STATUS", "AGE", "FLOWS/S", "CURRENT/MAX-FLOWS", ...(wide ? ["VERSION", "ADDRESS", "TLS"] : [])]);
  for (const { name, state, uptimeNs, seenFlows, numFlows, maxFlows, version, address, tls } of response.nodes) {
    const seconds = Number(uptimeNs) / 1e9;
    const share = maxFlows > 0n ? ` (${((Number(numFlows) / Number(maxFlows)) * 100).toFixed(2).padStart(6)}%)` : "";
    columns.add([
      clean(name),
      stateText(state),
      seconds > 0 ? ageText(seconds) : "N/A",
      seconds > 0 ? (Number(seenFlows) / seconds).toFixed(2) : "N/A",
      maxFlows > 0n ? `${numFlows}/${maxFlows}${share}` : "N/A",
      ...(wide ? [version === "" ? "N/A" : clean(version), clean(address), tls?.enabled === true ? "Enabled" : "Disabled"] : []),
    ]);
  }
  return columns.take();
}

export function formatNamespaces(response: observerpb.GetNamespacesResponse, output: ListOptions["output"]): string {
  if (output === "json")
    return `${JSON.stringify(toJson(observerpb.GetNamespacesResponseSchema, response, { useProtoFieldName: true }))}\n`;
  const clusters = new Set(response.namespaces.map(({ cluster }) => cluster)).size > 1 || output === "wide";
  const columns = new Columns();
  columns.add(["NAMESPACE", ...(clusters ? ["CLUSTER"] : [])]);
  for (const { namespace, cluster } of response.namespaces) columns.add([clean(namespace), ...(clusters ? [clean(cluster)] : [])]);
  return columns.take();
}

function stateText(state: relaypb.NodeState): string {
  const name = relaypb.NodeState[state].replace("NODE_", "").toLowerCase();
  return state === relaypb.NodeState.UNKNOWN_NODE_STATE ? "Unknown" : `${name[0]?.toUpperCase() ?? ""}${name.slice(1)}`;
}

/** `3d4h`, `12m5s`. */
function ageText(seconds: number): string {
  const parts: ReadonlyArray<readonly [string, number]> = [
    ["d", Math.floor(seconds / 86_400)],
    ["h", Math.floor(seconds / 3_600) % 24],
    ["m", Math.floor(seconds / 60) % 60],
    ["s", Math.floor(seconds) % 60],
  ];
  const first = parts.findIndex(([, count]) => count > 0);
  if (first < 0) return "0s";
  return parts
    .slice(first, first + 2)
    .filter(([, count]) => count > 0)
    .map(([unit, count]) => `${count}${unit}`)
    .join("");
}
