export { type Counter, type Gauge, type Histogram, type Labels, Metrics, type Sample } from "./metrics.ts";
