import {
  AgentApiError,
  type ControllerStatus,
  type HealthStatusResponse,
  type HubbleStatus,
  type ProxyStatus,
  type Status,
  type StatusResponse,
} from "@cilium-ts/agent-api";
import { addOutputFlag, checkOutput, clean, type OutputOptions, show, tableText, UsageError } from "@cilium-ts/command-line";
import type { Command } from "commander";
import type { Context } from "./context.ts";
import { healthLines, readHealth } from "./health.ts";
import { nodeRows } from "./node.ts";

interface StatusOptions extends OutputOptions {
  readonly brief?: boolean;
  readonly verbose?: boolean;
  readonly allAddresses?: boolean;
  readonly allControllers?: boolean;
  readonly allNodes?: boolean;
}

export function addStatus(program: Command, context: Context): void {
  const command = program
    .command("status")
    .description("Show the state of the agent")
    .option("--brief", "One word, and the exit code: for probes")
    .option("--verbose", "All there is to show")
    .option("--all-addresses", "Every address that is given out, and to whom")
    .option("--all-controllers", "Every controller, not only those that fail")
    .option("--all-nodes", "Every node that is known");
  addOutputFlag(command).action(async (options: StatusOptions) => {
    checkOutput(options);
    const status = await context.agent.health(context.signal, { brief: options.brief === true });
    const problem = problemOf(status);
    if (options.brief === true) {
      if (problem !== undefined) throw new UsageError(problem);
      context.write("OK\n");
      return;
    }
    const cluster = await clusterHealth(context);
    const nodes = wants(options, "allNodes") ? ((await context.agent.clusterNodes(context.signal))["nodes-added"] ?? []) : [];
    show(
      context,
      options,
      status,
      () =>
        statusText(status, options) +
        clusterHealthText(cluster, options) +
        (nodes.length === 0 ? "" : `Nodes:\n${indent(tableText(nodeRows(nodes)))}`),
    );
    if (problem !== undefined) throw new UsageError(problem);
  });
}

/** Undefined where the agent does not probe nodes. */
async function clusterHealth(context: Context): Promise<HealthStatusResponse | undefined> {
  try {
    return await readHealth(context, false);
  } catch (cause) {
    if (!(cause instanceof AgentApiError)) throw cause;
    return undefined;
  }
}

function clusterHealthText(cluster: HealthStatusResponse | undefined, options: StatusOptions): string {
  if (cluster === undefined) return `${"Cluster health:".padEnd(nameWidth)}Probe disabled\n`;
  const [first = "", ...rest] = healthLines(cluster, { verbose: options.verbose === true, succinct: options.verbose !== true });
  return [`${"Cluster health:".padEnd(nameWidth)}${first}`, ...rest, ""].join("\n");
}

/** Redirects listed with --verbose. */
const redirectsShownMax = 1_000;

function proxyText(proxy: ProxyStatus | undefined): string | undefined {
  if (proxy === undefined) return undefined;
  const { ip = "", "port-range": range = "", "total-redirects": redirects = 0 } = proxy;
  return `OK, ip ${ip}, ${redirects} ${redirects === 1 ? "redirect" : "redirects"} active on ports ${range}`;
}

function redirectLines({ redirects = [] }: ProxyStatus = {}): string[] {
  if (redirects.length === 0) return [];
  const rows = redirects
    .slice(0, redirectsShownMax)
    .map(({ name = "", proxy = "", "proxy-port": port = 0 }) => [clean(proxy), clean(name), String(port)]);
  const more = redirects.length - rows.length;
  return [indent(tableText([["Protocol", "Redirect", "Proxy Port"], ...rows])).trimEnd(), ...(more > 0 ? [`  and ${more} more`] : [])];
}

/** What makes the agent unhealthy; undefined when nothing does. A server that is away is a warning to see, not a failure of the agent. */
function problemOf({ cilium }: StatusResponse): string | undefined {
  if (cilium?.state === "Ok") return undefined;
  return `the agent is not ready: ${clean(cilium?.msg || (cilium?.state ?? "it says nothing of itself"))}`;
}

const nameWidth = 25;
/** Controllers listed without --all-controllers. */
const failingShownMax = 20;

/** The sections that Cilium's users know, as far as the agent has them. */
export function statusText(status: StatusResponse, options: StatusOptions = {}): string {
  const lines: string[] = [];
  const add = (name: string, text: string | undefined): void => {
    if (text !== undefined) lines.push(`${`${name}:`.padEnd(nameWidth)}${clean(text)}`.trimEnd());
  };
  add("KVStore", stateText(status.kvstore));
  add("Kubernetes", stateText(status.kubernetes));
  const versions = status.kubernetes?.["k8s-api-versions"];
  add("Kubernetes APIs", versions === undefined ? undefined : JSON.stringify(versions));
  add("Host firewall", hostFirewallText(status));
  add("CNI Config file", status["cni-file"]?.msg);
  add("Cilium", stateText(status.cilium));
  add("NodeMonitor", monitorText(status));
  add("Cilium health daemon", stateText(status.cluster?.ciliumHealth));
  add("IPAM", status.ipam?.status);
  if (wants(options, "allAddresses")) lines.push(...addressLines(status));
  add("Attach Mode", status["attach-mode"]?.toUpperCase());
  add("Device Mode", status["datapath-mode"]);
  lines.push(...controllerLines(status.controllers ?? [], wants(options, "allControllers")));
  const range = status["identity-range"];
  add("Global Identity Range", range === undefined ? undefined : `min ${range["min-identity"]}, max ${range["max-identity"]}`);
  add("Proxy Status", proxyText(status.proxy));
  if (options.verbose === true) lines.push(...redirectLines(status.proxy));
  add("Hubble", hubbleText(status.hubble));
  const maps = status["bpf-maps"]?.maps ?? [];
  if (options.verbose === true && maps.length > 0) {
    const rows = maps.map(({ name = "", size }) => [name, String(size ?? "")]);
    lines.push("BPF Maps:", indent(tableText([["Name", "Size"], ...rows])).trimEnd());
  }
  for (const [name, since] of Object.entries(status.stale ?? {}))
    lines.push(`${`Stale status:`.padEnd(nameWidth)}${clean(name)} since ${clean(since)}`);
  return `${lines.join("\n")}\n`;
}

function wants(options: StatusOptions, flag: "allAddresses" | "allControllers" | "allNodes"): boolean {
  return options.verbose === true || options[flag] === true;
}

function stateText(status: Status | undefined): string | undefined {
  return status === undefined ? undefined : `${(status.state ?? "").padEnd(10)} ${status.msg ?? ""}`.trimEnd();
}

function hostFirewallText({ "host-firewall": firewall }: StatusResponse): string | undefined {
  if (firewall === undefined) return undefined;
  const { mode = "", devices = [], trial } = firewall;
  const text = devices.length === 0 ? mode : `${mode.padEnd(10)} [${devices.join(", ")}]`;
  if (trial === undefined) return text;
  if (trial.state === "reverted") return `${text}, policies taken back at ${trial.at} because ${trial.reason}`;
  return `${text}, ON TRIAL until ${trial.until}: cut off: ${trial.lost.join(", ")} (keep it: cilium-dbg host-firewall confirm)`;
}

function monitorText({ nodeMonitor }: StatusResponse): string | undefined {
  if (nodeMonitor === undefined) return undefined;
  const { cpus = 0, npages = 0, pagesize = 0, lost = 0, unknown = 0 } = nodeMonitor;
  const losses = lost + unknown === 0 ? "" : `; ${lost} events lost, ${unknown} not understood`;
  return `Listening for events on ${cpus} CPUs with ${npages}x${pagesize} of shared memory${losses}`;
}

function hubbleText(hubble: HubbleStatus | undefined): string | undefined {
  const { observer } = hubble ?? {};
  const state = stateText(hubble);
  const max = observer?.["max-flows"] ?? 0;
  if (state === undefined || max === 0) return state;
  const current = observer?.["current-flows"] ?? 0;
  const uptimeS = secondsOf(observer?.uptime ?? "");
  const rate = uptimeS === 0 ? "" : `, Flows/s: ${((observer?.["seen-flows"] ?? 0) / uptimeS).toFixed(2)}`;
  return `${state.padEnd(16)}Current/Max Flows: ${current}/${max} (${((current / max) * 100).toFixed(2)}%)${rate}`;
}

/** Of a duration such as `1h2m3.5s`; 0 when it is none. */
function secondsOf(text: string): number {
  const match = /^(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9.]+)s)?$/.exec(text);
  return Number(match?.[1] ?? 0) * 3600 + Number(match?.[2] ?? 0) * 60 + Number(match?.[3] ?? 0);
}

function addressLines({ ipam }: StatusResponse): string[] {
  const rows = Object.entries(ipam?.allocations ?? {}).map(([address, owner]) => `  ${clean(address)} (${clean(owner)})`);
  return ["Allocated addresses:", ...rows.sort()];
}

function controllerLines(controllers: readonly ControllerStatus[], all: boolean): string[] {
  const failing = controllers.filter(({ status }) => (status?.["consecutive-failure-count"] ?? 0) > 0);
  const healthy = controllers.length - failing.length;
  const lines = [`${"Controller Status:".padEnd(nameWidth)}${healthy}/${controllers.length} healthy`];
  const shown = all ? controllers : failing.slice(0, failingShownMax);
  if (shown.length === 0) return lines;
  const rows = shown.map(({ name = "", status = {} }) => [
    name,
    status["last-success-timestamp"] ?? "never",
    status["last-failure-timestamp"] ?? "never",
    String(status["consecutive-failure-count"] ?? 0),
    status["last-failure-msg"] || "no error",
  ]);
  return [...lines, indent(tableText([["Name", "Last success", "Last error", "Count", "Message"], ...rows])).trimEnd()];
}

function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "  ");
}
