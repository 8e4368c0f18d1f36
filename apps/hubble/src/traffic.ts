import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Columns, clean, UsageError } from "@cilium-ts/command-line";
import { flowpb, historypb } from "@cilium-ts/observer";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Clients, type ConnectionOptions, callOptionsOf, serverError } from "./connection.ts";
import { formatTime } from "./time-format.ts";

export const trafficOrders = { flows: 0, drops: 1, bytes: 2 } as const;
export type TrafficOrderName = keyof typeof trafficOrders;

export interface TrafficTotals {
  readonly client: string;
  readonly server: string;
  readonly flows: number;
  readonly drops: number;
  readonly bytes: number;
}

export interface TrafficQuery {
  readonly sinceMs: number;
  readonly untilMs: number | undefined;
  readonly by: TrafficOrderName;
  readonly countMax: number;
  readonly namespaces: readonly string[];
}

/** The largest number of rows that a node tells. */
const rowsMax = 10_000;

/** What the server has summed up over that time. */
export async function askTraffic(
  { history }: Clients,
  query: TrafficQuery,
  connection: ConnectionOptions,
  signal: AbortSignal,
): Promise<historypb.GetTrafficResponse> {
  const request = create(historypb.GetTrafficRequestSchema, {
    since: timestampFromMs(query.sinceMs),
    ...(query.untilMs === undefined ? {} : { until: timestampFromMs(query.untilMs) }),
    number: rowsMax,
    order: trafficOrders[query.by],
    namespaces: [...query.namespaces],
  });
  try {
    return await history.getTraffic(request, callOptionsOf(connection, signal));
  } catch (cause) {
    if (cause instanceof ConnectError && cause.code === Code.Unimplemented)
      throw new UsageError(`${connection.server} keeps no sums of traffic: ask with hubble observe, or turn its history on`);
    throw serverError(connection.server, cause);
  }
}

/** One total for each pair and port, the largest first, whatever the verdicts. */
export function totalsOf(traffic: readonly historypb.Traffic[], by: TrafficOrderName, countMax: number): TrafficTotals[] {
  const totals = new Map<string, { -readonly [Name in keyof TrafficTotals]: TrafficTotals[Name] }>();
  for (const row of traffic) {
    const [client, party] = [partyText(row.client), partyText(row.server)];
    const server = clean(`${party}${row.port === 0 ? "" : `:${row.port}`}${row.protocol === "" ? "" : ` ${row.protocol}`}`);
    const key = `${client} ${server}`;
    const total = totals.get(key) ?? { client, server, flows: 0, drops: 0, bytes: 0 };
    totals.set(key, total);
    total.flows += Number(row.flows);
    total.bytes += Number(row.bytes);
    if (row.verdict === flowpb.Verdict.DROPPED) total.drops += Number(row.flows);
  }
  return [...totals.values()].sort((one, other) => other[by] - one[by] || other.flows - one.flows).slice(0, countMax);
}

/** What came since an earlier answer about the same time. */
export function difference(now: readonly historypb.Traffic[], before: readonly historypb.Traffic[]): historypb.Traffic[] {
  const keyOf = ({ client, server, protocol, port, verdict, dropReason }: historypb.Traffic): string =>
    [partyText(client), client?.kind, partyText(server), server?.kind, protocol, port, verdict, dropReason].join("|");
  const earlier = new Map(before.map((row) => [keyOf(row), row]));
  return now.flatMap((row) => {
    const known = earlier.get(keyOf(row));
    const flows = row.flows - (known?.flows ?? 0n);
    return flows <= 0n ? [] : [create(historypb.TrafficSchema, { ...row, flows, bytes: row.bytes - (known?.bytes ?? 0n) })];
  });
}

/** A table of a time that is over. */
export function formatTraffic(response: historypb.GetTrafficResponse, { by, countMax }: TrafficQuery): string {
  if (response.since === undefined) return "nothing is known of that time\n";
  const columns = new Columns();
  columns.add(["FLOWS", "DROPS", "BYTES", "FROM", "TO"]);
  for (const { flows, drops, bytes, client, server } of totalsOf(response.traffic, by, countMax))
    columns.add([String(flows), String(drops), bytesText(bytes), client, server]);
  const time = (stamp: Timestamp | undefined): string => formatTime("RFC3339", stamp);
  const silent = response.unavailableNodes;
  return [
    `${time(response.since)} to ${time(response.until)}\n`,
    columns.take(),
    response.otherFlows === 0n ? "" : `and ${response.otherFlows} flows of others\n`,
    silent.length === 0 ? "" : clean(`without ${silent.join(", ")}, which did not answer\n`),
  ].join("");
}

/** `1.5 MB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 1_000 && unit < units.length - 1; unit += 1) value /= 1_000;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

function partyText(party: historypb.Party | undefined): string {
  if (party === undefined) return "unknown";
  return clean(party.namespace === "" ? party.name : `${party.namespace}/${party.name}`);
}
