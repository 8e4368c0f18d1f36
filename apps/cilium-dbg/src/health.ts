import type { ConnectivityHealth, HealthStatusResponse, NodeHealth, PathHealth, PathsHealth } from "@cilium-ts/agent-api";
import { addOutputFlag, checkOutput, clean, type OutputOptions, show, tableText } from "@cilium-ts/command-line";
import type { Command } from "commander";
import type { Context } from "./context.ts";

interface HealthOptions extends OutputOptions {
  readonly probe?: boolean;
  readonly succinct?: boolean;
  readonly verbose?: boolean;
}

export function addHealth(program: Command, context: Context): void {
  const group = program.command("health").description("Whether the nodes of the cluster reach each other");
  const status = group
    .command("status")
    .description("Show what probes of every node and its health endpoint found")
    .option("--probe", "Probe now, and wait for it")
    .option("--succinct", "One line a node, and only those that do not answer")
    .option("--verbose", "Every address of every node");
  addOutputFlag(status).action(async (options: HealthOptions) => {
    checkOutput(options);
    const found = await readHealth(context, options.probe === true);
    show(
      context,
      options,
      found,
      () => `Probe time:   ${found.timestamp === "" ? "never" : clean(found.timestamp)}\n${healthText(found, options)}`,
    );
  });
}

export async function readHealth(context: Context, probe: boolean): Promise<HealthStatusResponse> {
  const [method, path] = probe ? ["PUT", "/status/probe"] : ["GET", "/status"];
  return (await context.health.call(method, path, context.signal)) as HealthStatusResponse;
}

function healthText(found: HealthStatusResponse, options: HealthOptions): string {
  return `${healthLines(found, options).join("\n")}\n`;
}

/** Nodes listed without `verbose`. */
const silentShownMax = 10;

/** `2/3 reachable (...)`, and below it what there is to say of single nodes. */
export function healthLines(found: HealthStatusResponse, { succinct, verbose }: Pick<HealthOptions, "succinct" | "verbose">): string[] {
  const reachable = found.nodes.filter((node) => counts(node.host).reachable === counts(node.host).all && isWhole(node));
  const time = found.timestamp === "" ? "not probed yet" : `${clean(found.timestamp)}, every ${clean(found.probeInterval)}`;
  const lines = [`${reachable.length}/${found.nodes.length} reachable   (${time})`];
  if (verbose === true) return [...lines, ...found.nodes.flatMap((node) => detailLines(node, node.name === found.local.name))];
  const silent = found.nodes.filter((node) => !reachable.includes(node));
  const shown = succinct === true ? silent.slice(0, silentShownMax) : found.nodes;
  if (shown.length === 0) return lines;
  const rows = shown.map((node) => [
    `${clean(node.name)}${node.name === found.local.name ? " (localhost)" : ""}`,
    clean(node.host["primary-address"].ip),
    countText(node.host),
    countText(node["health-endpoint"]),
  ]);
  const rest = silent.length - silentShownMax;
  const more = succinct === true && rest > 0 ? [`  and ${rest} more`] : [];
  return [...lines, ...indented(tableText([["Name", "IP", "Node", "Endpoints"], ...rows])), ...more];
}

function isWhole({ "health-endpoint": endpoint }: NodeHealth): boolean {
  return counts(endpoint).reachable === counts(endpoint).all;
}

function pathsOf(paths: PathsHealth | undefined): readonly PathHealth[] {
  return paths === undefined ? [] : [paths["primary-address"], ...(paths["secondary-addresses"] ?? [])];
}

function counts(paths: PathsHealth | undefined): { reachable: number; all: number } {
  const all = pathsOf(paths);
  return { reachable: all.filter(({ icmp, http }) => icmp?.status === "" && http?.status === "").length, all: all.length };
}

function countText(paths: PathsHealth | undefined): string {
  const { reachable, all } = counts(paths);
  return `${reachable}/${all}`;
}

function detailLines(node: NodeHealth, isLocal: boolean): string[] {
  const part = (title: string, paths: PathsHealth | undefined): string[] =>
    paths === undefined ? [] : [`    ${title} connectivity to ${pathsOf(paths).length} addresses:`, ...pathsOf(paths).flatMap(pathLines)];
  return [
    `  ${clean(node.name)}${isLocal ? " (localhost)" : ""}:`,
    ...part("Host", node.host),
    ...part("Endpoint", node["health-endpoint"]),
  ];
}

function pathLines({ ip, icmp, http }: PathHealth): string[] {
  return [`      ${clean(ip)}:`, `        ICMP to stack:   ${outcome(icmp)}`, `        HTTP to agent:   ${outcome(http)}`];
}

function outcome(found: ConnectivityHealth | undefined): string {
  if (found === undefined) return "not probed yet";
  return found.status === "" ? `OK, RTT=${((found.latency ?? 0) / 1e3).toFixed(0)}µs` : clean(found.status);
}

function indented(text: string): string[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => `  ${line}`.trimEnd());
}
