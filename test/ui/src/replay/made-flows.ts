import type { flowpb } from "@cilium-ts/observer";
import type { MadeCluster } from "./made-cluster.ts";
import type { FlowMaker } from "./replay-hubble.ts";

export interface MadeFlowsOptions {
  readonly flowsPerSecond: number;
  /** So many lie in the past when the maker is first asked. */
  readonly pastFlows: number;
}

/** After a pause, such as a machine that slept, so many at most are made up for. */
const burstMax = 20_000;

/** A made cluster's flows at a steady rate. */
export function makeFlows(cluster: MadeCluster, { flowsPerSecond, pastFlows }: MadeFlowsOptions): FlowMaker {
  let lastMs: number | undefined;
  return {
    *until(nowMs): Generator<flowpb.Flow> {
      lastMs ??= nowMs - (pastFlows * 1_000) / flowsPerSecond;
      const count = Math.min(Math.floor(((nowMs - lastMs) * flowsPerSecond) / 1_000), Math.max(burstMax, pastFlows));
      const stepMs = 1_000 / flowsPerSecond;
      for (let index = 0; index < count; index += 1) yield cluster.flow(lastMs + (index + 1) * stepMs);
      lastMs += count * stepMs;
    },
  };
}
