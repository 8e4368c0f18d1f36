import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Traffic, TrafficParty, TrafficSum } from "@cilium-ts/flow";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { type GetTrafficRequest, History, TrafficOrder } from "./gen/history/history_pb.js";

/** Where sums of traffic are kept. */
export interface TrafficSource {
  /** Adds up the minutes that overlap with the given time, milliseconds since the epoch. */
  sum(query: {
    readonly fromMs: number;
    readonly toMs: number;
    readonly wanted: (client: TrafficParty, server: TrafficParty) => boolean;
  }): Promise<{ readonly sum: TrafficSum; readonly period: { readonly fromMs: number; readonly toMs: number } | undefined }>;
}

const numberDefault = 1_000;
const numberMax = 10_000;
const sumsMax = 4;

/** GetTraffic: a sum may read many files, so few are made at a time. */
export function registerTraffic(router: ConnectRouter, source: TrafficSource): void {
  let sums = 0;
  router.service(History, {
    async getTraffic(request) {
      const query = readQuery(request);
      if (sums >= sumsMax) throw new ConnectError(`${sumsMax} clients are asking for sums already; try again`, Code.ResourceExhausted);
      sums += 1;
      try {
        const { sum, period } = await source.sum(query);
        const traffic = sum.take(query.by, query.number).map(trafficMessage);
        return {
          traffic,
          ...(period === undefined ? {} : { since: timestampFromMs(period.fromMs), until: timestampFromMs(period.toMs) }),
          otherFlows: BigInt(sum.others.flows),
          otherBytes: BigInt(sum.others.bytes),
        };
      } finally {
        sums -= 1;
      }
    },
  });
}

function readQuery({ since, until, number, order, namespaces }: GetTrafficRequest) {
  if (number > numberMax) throw new ConnectError(`number is at most ${numberMax}, not ${number}`, Code.InvalidArgument);
  if (TrafficOrder[order] === undefined) throw new ConnectError(`there is no order ${order}`, Code.InvalidArgument);
  const ofNamespace = new Set(namespaces);
  const timeMs = (name: string, time: Timestamp | undefined, otherwise: number): number => {
    if (time === undefined) return otherwise;
    const value = timestampMs(time);
    if (!Number.isFinite(value)) throw new ConnectError(`${name} is no time`, Code.InvalidArgument);
    return value;
  };
  return {
    fromMs: timeMs("since", since, 0),
    toMs: timeMs("until", until, Number.POSITIVE_INFINITY),
    number: number === 0 ? numberDefault : number,
    by: ({ [TrafficOrder.BY_FLOWS]: "flows", [TrafficOrder.BY_DROPS]: "drops", [TrafficOrder.BY_BYTES]: "bytes" } as const)[order],
    wanted: (client: TrafficParty, server: TrafficParty) =>
      ofNamespace.size === 0 || ofNamespace.has(client.namespace) || ofNamespace.has(server.namespace),
  };
}

/** As messages have it: numbers of 64 bits. */
function trafficMessage({ flows, bytes, ...rest }: Traffic) {
  return { ...rest, flows: BigInt(flows), bytes: BigInt(bytes) };
}
