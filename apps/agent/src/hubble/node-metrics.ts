import type { EventView, Flow, FlowTime } from "@cilium-ts/flow";
import { checkMetricSettings, FlowMetrics, type MetricSetting, type WantedMetric } from "@cilium-ts/flow-metrics";
import {
  type EndpointTls,
  type HttpEndpoint,
  type HttpRoutes,
  openHttpEndpoint,
  prometheusAnswer,
  type ServeAddress,
} from "@cilium-ts/http-endpoint";
import { Metrics } from "@cilium-ts/metrics";
import { compileJsonFilters, type FlowConsumer, flowpb } from "@cilium-ts/observer";
import { parse } from "yaml";
import type { HubbleMetricsSettings } from "./hubble-settings.ts";

const openMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/** Series of a pod that has gone are read once more by whoever reads them every minute. */
const podLingerMs = 60_000;
const goneCountMax = 10_000;

/** Hubble's metrics on their own port. */
export class NodeMetrics implements FlowConsumer {
  readonly registry = new Metrics();
  readonly #flows = new FlowMetrics<EventView>({ registry: this.registry, dropReasonName });
  readonly #gone: Array<{ readonly namespace: string; readonly podName: string; readonly atMs: number }> = [];
  readonly #beforeRead = new Set<() => void>();

  /** What is counted of flows, by the settings that do not change. */
  constructor({ wanted }: Pick<HubbleMetricsSettings, "wanted">) {
    this.#flows.apply(wanted.map((setting) => ({ setting, matches: undefined, key: "static" })));
  }

  /** Whether flows are to be shown. */
  get isActive(): boolean {
    return this.#flows.isActive;
  }

  wants(): boolean {
    return this.#flows.isActive;
  }

  consume(flow: Flow, event: EventView): void {
    this.#flows.consume(flow, event, event.packetBytes);
  }

  noteLoss(source: number, count: number, _time: FlowTime): void {
    this.#flows.lost(source, count);
  }

  /** Takes the YAML of metrics that may change, or says what is wrong with it. */
  configure(text: string): readonly string[] {
    const read = readDynamicMetrics(text);
    if ("problems" in read) return read.problems;
    this.#flows.apply(read.wanted);
    return [];
  }

  /** Its series go a minute later, unless a pod of that name is there by then. */
  podGone(namespace: string, podName: string, nowMs: number): void {
    if (!this.isActive) return;
    if (this.#gone.length >= goneCountMax) this.#gone.shift();
    this.#gone.push({ namespace, podName, atMs: nowMs });
  }

  removeGone(nowMs: number, isThere: (namespace: string, podName: string) => boolean): void {
    while (this.#gone[0] !== undefined && nowMs - this.#gone[0].atMs >= podLingerMs) {
      const { namespace, podName } = this.#gone[0];
      this.#gone.shift();
      if (!isThere(namespace, podName)) this.#flows.removePod(namespace, podName);
    }
  }

  /** Calls the listener before each answer, to set what is not counted. */
  beforeRead(listener: () => void): void {
    this.#beforeRead.add(listener);
  }

  /** In plain text without `tls`. */
  serve(
    { address, openMetrics }: Pick<HubbleMetricsSettings, "openMetrics"> & { readonly address: ServeAddress },
    tls?: EndpointTls,
  ): Promise<HttpEndpoint> {
    const routes: HttpRoutes = {
      "/metrics": ({ accept = "" }) => {
        for (const listener of this.#beforeRead) listener();
        if (openMetrics && accept.includes("application/openmetrics-text"))
          return { status: 200, contentType: openMetricsType, body: this.registry.openMetricsText() };
        return prometheusAnswer(this.registry.text());
      },
    };
    return openHttpEndpoint("server of Hubble's metrics", address, routes, tls);
  }
}

function dropReasonName(code: number): string {
  return flowpb.DropReason[code] ?? String(code);
}

interface DynamicMetric {
  readonly name?: unknown;
  readonly contextOptions?: unknown;
  readonly includeFilters?: unknown;
  readonly excludeFilters?: unknown;
}

/** `metrics:` with a name each, `contextOptions` with name and values, and filters. */
function readDynamicMetrics(text: string): { readonly wanted: WantedMetric<EventView>[] } | { readonly problems: readonly string[] } {
  let list: unknown;
  try {
    list = (parse(text) as { readonly metrics?: unknown } | null)?.metrics ?? [];
  } catch (cause) {
    return { problems: [cause instanceof Error ? cause.message : String(cause)] };
  }
  if (!Array.isArray(list)) return { problems: ["metrics is no list"] };
  const wanted: WantedMetric<EventView>[] = [];
  const problems: string[] = [];
  for (const [index, entry] of (list as readonly DynamicMetric[]).entries()) {
    const setting = readSetting(entry);
    const filters = compileJsonFilters(listOf(entry?.includeFilters), listOf(entry?.excludeFilters));
    if (setting === undefined) problems.push(`metrics[${index}] has no name, or its contextOptions have none`);
    else if ("problem" in filters) problems.push(`metrics[${index}]: ${filters.problem}`);
    else wanted.push({ setting, matches: filters.matches, key: JSON.stringify(entry) });
  }
  problems.push(...checkMetricSettings(wanted.map(({ setting }) => setting)));
  return problems.length > 0 ? { problems } : { wanted };
}

function readSetting(entry: DynamicMetric | null): MetricSetting | undefined {
  if (typeof entry?.name !== "string") return undefined;
  const options = new Map<string, readonly string[]>();
  for (const option of listOf(entry.contextOptions)) {
    const { name, values } = (option ?? {}) as { readonly name?: unknown; readonly values?: unknown };
    if (typeof name !== "string") return undefined;
    options.set(name, listOf(values).map(String));
  }
  return { name: entry.name, options };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
