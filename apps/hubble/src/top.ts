import { create, toJson } from "@bufbuild/protobuf";
import { Columns, UsageError } from "@cilium-ts/command-line";
import { flowpb, observerpb } from "@cilium-ts/observer";
import { parseDuration, systemClock } from "@cilium-ts/std";
import { type Command, Option } from "commander";
import { type Clients, type ConnectionOptions, openClients, serverError } from "./connection.ts";
import { FlowTotals, type PairTotal } from "./flow-totals.ts";
import { addFilterFlags } from "./observe.ts";
import { parseTime } from "./time-format.ts";
import {
  askTraffic,
  bytesText,
  difference,
  formatTraffic,
  type TrafficOrderName,
  type TrafficQuery,
  totalsOf,
  trafficOrders,
} from "./traffic.ts";
import type { World } from "./world.ts";

interface TopOptions extends ConnectionOptions {
  readonly interval: string;
  readonly rows: string;
  readonly sort: TrafficOrderName;
  readonly since?: string;
  readonly until?: string;
}

const clocksDifferMs = 300_000;
/** All that a total needs. */
const fields = ["verdict", "IP", "l4", "is_reply", "source.identity", "source.namespace", "source.pod_name"];
const fieldsOfDestination = ["destination.identity", "destination.namespace", "destination.pod_name"];

/** `top`: who talks to whom, as it happens, or over a time that has been summed up. */
export function addTop(program: Command, world: World, signal: AbortSignal): Command {
  const command = program.command("top").description("Show who talks to whom, by flows, drops or bytes, as it happens or since then");
  const filters = addFilterFlags(command);
  command
    .option("--interval <duration>", "How often it is shown", "2s")
    .option("--rows <n>", "How many pairs are shown", "20")
    .option("--since <time>", "Sum up what the nodes keep from then on (3h, or a date), instead of what happens")
    .option("--until <time>", "Sum up until then")
    .addOption(new Option("--sort <by>", "What is most").choices(Object.keys(trafficOrders)).default("flows"));
  return command.action(async (options: TopOptions) => {
    if (filters.negated) throw new UsageError("--not at the end: it must stand before the filter that it is about");
    const intervalMs = parseDuration(options.interval);
    if (intervalMs === undefined || intervalMs < 100)
      throw new UsageError(`--interval ${JSON.stringify(options.interval)} is no duration from 100ms on`);
    if (!/^[1-9][0-9]{0,3}$/.test(options.rows)) throw new UsageError(`--rows ${JSON.stringify(options.rows)} is no number from 1 to 9999`);
    const [allow, deny] = [filters.allow.build(), filters.deny.build()];
    const show = (text: string): void => void world.stdout.write(world.isTerminal ? `\u001b[H\u001b[2J${text}` : `${text}\n`);
    if (options.since === undefined && options.until === undefined && options.sort !== "bytes") {
      await followFlows(options, options.sort, { allow, deny, intervalMs }, show, signal);
      return;
    }
    const query = trafficQuery(options, namespacesOf(allow, deny), world.nowMs());
    const clients = await openClients(options);
    if (options.since === undefined && options.until === undefined) await followBytes(clients, query, options, intervalMs, show, signal);
    else world.stdout.write(formatTraffic(await askTraffic(clients, query, options, signal), query));
  });
}

/** Flows as they come. */
async function followFlows(
  options: TopOptions,
  sort: "flows" | "drops",
  { allow, deny, intervalMs }: { readonly allow: flowpb.FlowFilter[]; readonly deny: flowpb.FlowFilter[]; readonly intervalMs: number },
  show: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const request = create(observerpb.GetFlowsRequestSchema, {
    follow: true,
    whitelist: allow,
    blacklist: deny,
    fieldMask: { paths: [...fields, ...fieldsOfDestination] },
  });
  const { observer } = await openClients(options);
  const totals = new FlowTotals();
  const showTotals = (): void => show(formatTotals(totals.take(sort, Number(options.rows)), intervalMs / 1_000));
  const timer = setInterval(showTotals, intervalMs);
  try {
    for await (const { responseTypes } of observer.getFlows(request, { signal }))
      if (responseTypes.case === "flow") totals.add(responseTypes.value);
    showTotals();
  } catch (cause) {
    if (!signal.aborted) throw serverError(options.server, cause);
  } finally {
    clearInterval(timer);
  }
}

/** Flows do not tell bytes: the sums do, and what they grow by is what happens. */
async function followBytes(
  clients: Clients,
  query: TrafficQuery,
  options: TopOptions,
  intervalMs: number,
  show: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let before = await askTraffic(clients, query, options, signal);
  while (!signal.aborted) {
    await systemClock.sleep(intervalMs, signal).catch(() => {}); // Rejects only on abort.
    if (signal.aborted) return;
    const now = await askTraffic(clients, query, options, signal);
    const columns = new Columns();
    columns.add(["BYTES/S", "FLOWS/S", "DROPS/S", "FROM", "TO"]);
    const rate = (count: number): string => (count / (intervalMs / 1_000)).toFixed(1);
    for (const { bytes, flows, drops, client, server } of totalsOf(difference(now.traffic, before.traffic), "bytes", query.countMax))
      columns.add([bytesText(Math.round(bytes / (intervalMs / 1_000))), rate(flows), rate(drops), client, server]);
    show(columns.take());
    before = now;
  }
}

function trafficQuery({ since, until, sort, rows }: TopOptions, namespaces: readonly string[], nowMs: number): TrafficQuery {
  return {
    // What happens is what is added: where that begins does not matter, but clocks differ.
    sinceMs: since === undefined ? (until === undefined ? nowMs - clocksDifferMs : 0) : parseTime(since, nowMs),
    untilMs: until === undefined ? undefined : parseTime(until, nowMs),
    by: sort,
    countMax: Number(rows),
    namespaces,
  };
}

/** Sums know namespaces, and nothing else that flows are chosen by. */
function namespacesOf(allow: readonly flowpb.FlowFilter[], deny: readonly flowpb.FlowFilter[]): string[] {
  const refuse = (): never => {
    throw new UsageError("sums of traffic can be chosen by --namespace only: leave the other filters out, or ask with hubble observe");
  };
  if (deny.length > 0) refuse();
  const namespaces = allow.flatMap((filter) => {
    const { sourcePod, destinationPod } = filter;
    const rest = toJson(flowpb.FlowFilterSchema, create(flowpb.FlowFilterSchema, { ...filter, sourcePod: [], destinationPod: [] }));
    if (Object.keys(rest as object).length > 0) refuse();
    return [...sourcePod, ...destinationPod].map((pod) => (/^[^/]+\/$/.test(pod) ? pod.slice(0, -1) : refuse()));
  });
  return [...new Set(namespaces)];
}

export function formatTotals(totals: readonly PairTotal[], seconds: number): string {
  const columns = new Columns();
  columns.add(["FLOWS/S", "DROPS/S", "FROM", "TO"]);
  for (const { flows, drops, source, destination } of totals)
    columns.add([(flows / seconds).toFixed(1), (drops / seconds).toFixed(1), source, destination]);
  return columns.take();
}
