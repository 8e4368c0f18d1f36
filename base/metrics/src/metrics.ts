import { LabelledMetric, type LabelledOptions } from "./labelled.ts";
import { escapeText, formatNumber, type Labels, type Sample } from "./samples.ts";

export interface Counter {
  /** By how much it grows: 1 when absent, never less than 0. */
  increase(labels?: Labels, by?: number): void;
}

export interface Gauge {
  set(value: number, labels?: Labels): void;
}

export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly series: Map<string, Series>;
  readonly bounds: readonly number[];
}

interface Series {
  readonly labels: Labels;
  value: number;
  /** Of a histogram: how many observations fell at or below each bound, and above the last. */
  readonly counts: number[];
}

/** Sets of label values that one metric may have; whatever comes beyond them is counted in `metrics_series_dropped_total`. */
const seriesMax = 1_000;

/**
 * The metrics of one program. Names and label names are the program's own and are checked; label values may be anything.
 * Facts of the text form: Prometheus' exposition format 0.0.4.
 */
export class Metrics {
  readonly #metrics = new Map<string, Metric>();
  readonly #labelled = new Map<string, LabelledMetric>();
  #dropped = 0;

  counter(name: string, help: string): Counter {
    const metric = this.#create(name, help, "counter", []);
    return {
      increase: (labels = {}, by = 1) => {
        if (by < 0) throw new RangeError(`the counter ${name} cannot shrink by ${-by}`);
        const series = this.#seriesOf(metric, labels);
        if (series !== undefined) series.value += by;
      },
    };
  }

  gauge(name: string, help: string): Gauge {
    const metric = this.#create(name, help, "gauge", []);
    return {
      set: (value, labels = {}) => {
        const series = this.#seriesOf(metric, labels);
        if (series !== undefined) series.value = value;
      },
    };
  }

  /** `bounds` grow; what lies above the last is counted too. */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    const metric = this.#create(name, help, "histogram", bounds);
    return {
      observe: (value, labels = {}) => {
        const series = this.#seriesOf(metric, labels);
        if (series === undefined) return;
        series.value += value;
        const at = bounds.findIndex((bound) => value <= bound);
        const index = at === -1 ? bounds.length : at;
        series.counts[index] = (series.counts[index] ?? 0) + 1;
      },
    };
  }

  /** A counter with fixed labels; `bounds` make it a histogram. */
  labelled(
    name: string,
    help: string,
    labelNames: readonly string[],
    options: LabelledOptions & { bounds?: readonly number[] },
  ): LabelledMetric {
    this.#check(name);
    for (const label of labelNames) checkLabel(label);
    const metric = new LabelledMetric(name, help, labelNames, options.bounds ?? [], options);
    this.#labelled.set(name, metric);
    return metric;
  }

  /** Forgets a metric and all its series. */
  remove(name: string): void {
    this.#metrics.delete(name);
    this.#labelled.delete(name);
  }

  /** Every value that Prometheus would read. */
  samples(): readonly Sample[] {
    const samples: Sample[] = [];
    for (const metric of this.#metrics.values()) for (const series of metric.series.values()) samples.push(...samplesOf(metric, series));
    for (const metric of this.#labelled.values()) samples.push(...metric.samples());
    if (this.#refused > 0) samples.push({ name: "metrics_series_dropped_total", labels: {}, value: this.#refused });
    return samples;
  }

  /** To be served as `text/plain; version=0.0.4; charset=utf-8`. */
  text(): string {
    return `${this.#lines(false).join("\n")}\n`;
  }

  /** With exemplars; to be served as `application/openmetrics-text; version=1.0.0; charset=utf-8`. */
  openMetricsText(): string {
    return `${[...this.#lines(true), "# EOF"].join("\n")}\n`;
  }

  #lines(openMetrics: boolean): string[] {
    const lines: string[] = [];
    const head = (name: string, help: string, type: string): void => {
      // OpenMetrics names a counter without the ending of its values.
      const family = openMetrics && type === "counter" ? name.replace(/_total$/, "") : name;
      const text = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
      lines.push(`# HELP ${family} ${text}`, `# TYPE ${family} ${openMetrics && type === "counter" && family === name ? "unknown" : type}`);
    };
    for (const metric of this.#metrics.values()) {
      head(metric.name, metric.help, metric.type);
      for (const series of metric.series.values()) for (const sample of samplesOf(metric, series)) lines.push(formatSample(sample));
    }
    for (const metric of this.#labelled.values()) {
      head(metric.name, metric.help, metric.bounds.length === 0 ? "counter" : "histogram");
      for (const line of metric.lines(openMetrics)) lines.push(line);
    }
    if (this.#refused > 0) {
      const name = "metrics_series_dropped";
      lines.push(`# TYPE ${openMetrics ? name : `${name}_total`} counter`, `${name}_total ${this.#refused}`);
    }
    return lines;
  }

  get #refused(): number {
    let refused = this.#dropped;
    for (const metric of this.#labelled.values()) refused += metric.refused;
    return refused;
  }

  #check(name: string): void {
    if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) throw new RangeError(`${JSON.stringify(name)} is no name of a metric`);
    if (this.#metrics.has(name) || this.#labelled.has(name)) throw new RangeError(`the metric ${name} is there already`);
  }

  #create(name: string, help: string, type: Metric["type"], bounds: readonly number[]): Metric {
    this.#check(name);
    const metric: Metric = { name, help, type, series: new Map(), bounds };
    this.#metrics.set(name, metric);
    return metric;
  }

  #seriesOf(metric: Metric, labels: Labels): Series | undefined {
    const entries = Object.entries(labels).sort(([one], [other]) => (one < other ? -1 : 1));
    const key = JSON.stringify(entries);
    const known = metric.series.get(key);
    if (known !== undefined) return known;
    if (metric.series.size >= seriesMax) {
      this.#dropped += 1;
      return undefined;
    }
    for (const [name] of entries) checkLabel(name);
    const counts = metric.type === "histogram" ? new Array<number>(metric.bounds.length + 1).fill(0) : [];
    const series: Series = { labels: Object.fromEntries(entries), value: 0, counts };
    metric.series.set(key, series);
    return series;
  }
}

function checkLabel(name: string): void {
  if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) throw new RangeError(`${JSON.stringify(name)} is no name of a label`);
}

function* samplesOf({ name, type, bounds }: Metric, { labels, value, counts }: Series): Generator<Sample> {
  if (type !== "histogram") {
    yield { name, labels, value };
    return;
  }
  let below = 0;
  for (const [index, count] of counts.entries()) {
    below += count;
    const bound = bounds[index];
    yield { name: `${name}_bucket`, labels: { ...labels, le: bound === undefined ? "+Inf" : formatNumber(bound) }, value: below };
  }
  yield { name: `${name}_sum`, labels, value };
  yield { name: `${name}_count`, labels, value: below };
}

function formatSample({ name, labels, value }: Sample): string {
  const entries = Object.entries(labels).map(([key, text]) => `${key}="${escapeText(text)}"`);
  return `${name}${entries.length === 0 ? "" : `{${entries.join(",")}}`} ${formatNumber(value)}`;
}
