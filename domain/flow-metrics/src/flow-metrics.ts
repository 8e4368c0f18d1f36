import type { Flow } from "@cilium-ts/flow";
import type { LabelledMetric, Metrics } from "@cilium-ts/metrics";
import { LabelContexts } from "./label-contexts.ts";
import type { MetricSetting } from "./metric-settings.ts";
import type { Plugin, PluginBench } from "./plugin.ts";
import { createIcmpPlugin, createPortDistributionPlugin, createTcpPlugin } from "./plugins/layer4.ts";
import { createDnsPlugin, createHttpPlugin, createHttpV2Plugin, createKafkaPlugin } from "./plugins/layer7.ts";
import { createDropPlugin, createFlowPlugin, createFlowsToWorldPlugin, createPolicyPlugin } from "./plugins/verdicts.ts";

const plugins: Readonly<Record<string, (bench: PluginBench) => Plugin>> = {
  dns: createDnsPlugin,
  drop: createDropPlugin,
  flow: createFlowPlugin,
  "flows-to-world": createFlowsToWorldPlugin,
  http: createHttpPlugin,
  httpV2: createHttpV2Plugin,
  icmp: createIcmpPlugin,
  kafka: createKafkaPlugin,
  policy: createPolicyPlugin,
  "port-distribution": createPortDistributionPlugin,
  tcp: createTcpPlugin,
};

export interface WantedMetric<Event> {
  readonly setting: MetricSetting;
  /** Which flows are counted; undefined: all. */
  readonly matches: ((event: Event) => boolean) | undefined;
  /** Equal as long as the settings, filters included, are the same. */
  readonly key: string;
}

export interface FlowMetricsOptions {
  readonly registry: Metrics;
  readonly dropReasonName: (code: number) => string;
}

interface Running<Event> {
  readonly wanted: WantedMetric<Event>;
  readonly contexts: LabelContexts;
  readonly plugin: Plugin;
}

const lostSources = ["UNKNOWN_LOST_EVENT_SOURCE", "PERF_EVENT_RING_BUFFER", "OBSERVER_EVENTS_QUEUE", "HUBBLE_RING_BUFFER"] as const;

/** Hubble's metrics. `Event` is what filters look at. */
export class FlowMetrics<Event> {
  readonly #options: FlowMetricsOptions;
  readonly #running = new Map<string, Running<Event>>();
  readonly #lost: LabelledMetric;

  constructor(options: FlowMetricsOptions) {
    this.#options = options;
    this.#lost = options.registry.labelled("hubble_lost_events_total", "Number of lost events", ["source"], {
      seriesMax: lostSources.length,
    });
  }

  /** Whether any metric is asked for. */
  get isActive(): boolean {
    return this.#running.size > 0;
  }

  /** Counts these from now on. One whose settings did not change goes on with its values; one that is not among them is forgotten. */
  apply(wanted: readonly WantedMetric<Event>[]): void {
    const { registry, dropReasonName } = this.#options;
    const byName = new Map(wanted.map((metric) => [metric.setting.name, metric]));
    for (const [name, { wanted: former, plugin }] of this.#running) {
      if (byName.get(name)?.key === former.key) continue;
      for (const metric of plugin.metrics) registry.remove(metric.name);
      this.#running.delete(name);
    }
    for (const [name, metric] of byName) {
      const create = plugins[name];
      if (create === undefined || this.#running.has(name)) continue;
      const contexts = new LabelContexts(metric.setting);
      const plugin = create({ registry, contexts, options: metric.setting.options, dropReasonName });
      this.#running.set(name, { wanted: metric, contexts, plugin });
    }
  }

  /** `sizeBytes` is that of the packet; 0 when the event is not about one. */
  consume(flow: Flow, event: Event, sizeBytes: number): void {
    for (const { wanted, plugin } of this.#running.values())
      if (wanted.matches === undefined || wanted.matches(event)) plugin.consume(flow, sizeBytes);
  }

  /** Events that were lost: a `LostEventSource`, and how many. */
  lost(source: number, count: number): void {
    this.#lost.increase([lostSources[source] ?? String(source)], count);
  }

  /** Forgets the series that name a pod, and says how many those were. */
  removePod(namespace: string, podName: string): number {
    let removed = 0;
    for (const { contexts, plugin } of this.#running.values())
      for (const metric of plugin.metrics) removed += metric.remove((values) => contexts.concernsPod(values, namespace, podName));
    return removed;
  }
}
