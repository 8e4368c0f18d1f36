import { readFileSync } from "node:fs";
import { MadeCluster, type MadeClusterOptions } from "./made-cluster.ts";
import { makeFlows } from "./made-flows.ts";
import { Recording } from "./recording.ts";
import type { FlowMaker } from "./replay-hubble.ts";

export interface ReplayOptions extends MadeClusterOptions {
  readonly flowsPerSecond: number;
  /** A file of `hubble observe --output jsonpb`, instead of a made cluster. */
  readonly recordingPath?: string;
}

/** 500 services with 2,000 links and 5,000 flows a second. */
export const bigCluster: ReplayOptions = { seed: 1, services: 500, links: 2_000, namespaces: 25, flowsPerSecond: 5_000 };

export function openReplay(options: ReplayOptions): FlowMaker {
  if (options.recordingPath !== undefined) {
    const recording = new Recording(readFileSync(options.recordingPath, "utf8"));
    const startMs = Date.now();
    return { until: (nowMs) => recording.until(startMs, nowMs) };
  }
  const cluster = new MadeCluster(options);
  return makeFlows(cluster, { flowsPerSecond: options.flowsPerSecond, pastFlows: cluster.links.length * 2 });
}
