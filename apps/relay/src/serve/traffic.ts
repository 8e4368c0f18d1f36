import { create, toBinary } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { TrafficSum } from "@cilium-ts/flow";
import { historypb } from "@cilium-ts/observer";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { askAll, type ServicesOptions } from "./ask-all.ts";

const { BY_FLOWS, BY_DROPS, BY_BYTES } = historypb.TrafficOrder;
const orders = { [BY_FLOWS]: "flows", [BY_DROPS]: "drops", [BY_BYTES]: "bytes" } as const;
/** The most that a node tells: what is largest in the cluster may be small on each node. */
const numberPerNode = 10_000;
const numberDefault = 1_000;

/** The sums of all nodes, added up. */
export function registerTraffic(router: ConnectRouter, options: ServicesOptions): void {
  router.service(historypb.History, { getTraffic: (request, { signal }) => getTraffic(options, request, signal) });
}

async function getTraffic(options: ServicesOptions, request: historypb.GetTrafficRequest, signal: AbortSignal) {
  const { number } = request;
  if (number > numberPerNode) throw new ConnectError(`number is at most ${numberPerNode}, not ${number}`, Code.InvalidArgument);
  if (!(request.order in orders)) throw new ConnectError(`there is no order ${request.order}`, Code.InvalidArgument);
  const forNodes = toBinary(
    historypb.GetTrafficRequestSchema,
    create(historypb.GetTrafficRequestSchema, { ...request, number: numberPerNode }),
  );
  const answers = await askAll(options, "/history.History/GetTraffic", historypb.GetTrafficResponseSchema, signal, forNodes);
  const sum = new TrafficSum();
  let [since, until]: [Timestamp | undefined, Timestamp | undefined] = [undefined, undefined];
  for (const answer of answers) {
    if (answer.kind !== "answer") continue;
    const { traffic, otherFlows, otherBytes } = answer.message;
    for (const row of traffic) addRow(sum, row);
    sum.others.flows += Number(otherFlows);
    sum.others.bytes += Number(otherBytes);
    since = pick(since, answer.message.since, Math.min);
    until = pick(until, answer.message.until, Math.max);
  }
  const rows = sum.take(orders[request.order], number === 0 ? numberDefault : number);
  return {
    traffic: rows.map(({ flows, bytes, ...rest }) => ({ ...rest, flows: BigInt(flows), bytes: BigInt(bytes) })),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    otherFlows: BigInt(sum.others.flows),
    otherBytes: BigInt(sum.others.bytes),
    unavailableNodes: answers
      .filter(({ kind }) => kind !== "answer")
      .map(({ peer }) => peer.name)
      .sort(),
  };
}

function addRow(sum: TrafficSum, { client, server, protocol, port, verdict, dropReason, flows, bytes }: historypb.Traffic): void {
  if (client === undefined || server === undefined) return;
  sum.add({ client, server, protocol, port, verdict, dropReason, flows: Number(flows), bytes: Number(bytes) });
}

function pick(one: Timestamp | undefined, other: Timestamp | undefined, which: (one: number, other: number) => number) {
  if (one === undefined || other === undefined) return one ?? other;
  return which(timestampMs(one), timestampMs(other)) === timestampMs(one) ? one : other;
}
