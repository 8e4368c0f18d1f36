export { type Exemplar, LabelledMetric } from "./labelled.ts";
export { type Counter, type Gauge, type Histogram, Metrics } from "./metrics.ts";
export type { Labels, Sample } from "./samples.ts";
