export { FlowMetrics, type FlowMetricsOptions, type WantedMetric } from "./flow-metrics.ts";
export { checkMetricSettings, type MetricSetting, parseMetricSettings } from "./metric-settings.ts";
