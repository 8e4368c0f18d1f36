import type { Flow } from "@cilium-ts/flow";
import type { LabelledMetric, Metrics } from "@cilium-ts/metrics";
import type { LabelContexts } from "./label-contexts.ts";

/** What a plugin counts with. */
export interface PluginBench {
  readonly registry: Metrics;
  readonly contexts: LabelContexts;
  readonly options: ReadonlyMap<string, readonly string[]>;
  /** `POLICY_DENIED`. */
  readonly dropReasonName: (code: number) => string;
}

export interface Plugin {
  readonly metrics: readonly LabelledMetric[];
  /** `sizeBytes` is that of the packet; 0 when the event is not about one. */
  consume(flow: Flow, sizeBytes: number): void;
}

/** Sets of label values that one metric may have. */
const seriesMax = 10_000;

export function createCounter({ registry, contexts }: PluginBench, name: string, help: string, labels: readonly string[]): LabelledMetric {
  return registry.labelled(`hubble_${name}`, help, [...contexts.names, ...labels], { seriesMax });
}

/** In seconds. */
export function createDuration({ registry, contexts }: PluginBench, name: string, help: string, labels: readonly string[]): LabelledMetric {
  const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
  return registry.labelled(`hubble_${name}`, help, [...contexts.names, ...labels], { seriesMax, bounds });
}

/** `TCP`, `ICMPv6`; of what a proxy saw, the protocol that it speaks. */
export function protocolText({ l4, layer7 }: Flow): string {
  if (layer7 !== undefined) return { dns: "DNS", http: "HTTP", kafka: "Kafka" }[layer7.message.protocol];
  return l4?.protocol ?? "Unknown";
}

export function verdictName(verdict: number): string {
  return (
    (["VERDICT_UNKNOWN", "FORWARDED", "DROPPED", "ERROR", "AUDIT", "REDIRECTED", "TRACED", "TRANSLATED"] as const)[verdict] ??
    String(verdict)
  );
}
