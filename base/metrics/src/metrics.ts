export type Labels = Readonly<Record<string, string>>;

/** One value, as a reader of the program's own API gets it. */
export interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

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

  /** Every value that Prometheus would read. */
  samples(): readonly Sample[] {
    const samples: Sample[] = [];
    for (const metric of this.#metrics.values()) for (const series of metric.series.values()) samples.push(...samplesOf(metric, series));
    if (this.#dropped > 0) samples.push({ name: "metrics_series_dropped_total", labels: {}, value: this.#dropped });
    return samples;
  }

  /** To be served as `text/plain; version=0.0.4; charset=utf-8`. */
  text(): string {
    const lines: string[] = [];
    for (const metric of this.#metrics.values()) {
      lines.push(
        `# HELP ${metric.name} ${metric.help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`,
        `# TYPE ${metric.name} ${metric.type}`,
      );
      for (const series of metric.series.values()) for (const sample of samplesOf(metric, series)) lines.push(formatSample(sample));
    }
    if (this.#dropped > 0) lines.push("# TYPE metrics_series_dropped_total counter", `metrics_series_dropped_total ${this.#dropped}`);
    return `${lines.join("\n")}\n`;
  }

  #create(name: string, help: string, type: Metric["type"], bounds: readonly number[]): Metric {
    if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) throw new RangeError(`${JSON.stringify(name)} is no name of a metric`);
    if (this.#metrics.has(name)) throw new RangeError(`the metric ${name} is there already`);
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
    for (const [name] of entries)
      if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name)) throw new RangeError(`${JSON.stringify(name)} is no name of a label`);
    const counts = metric.type === "histogram" ? new Array<number>(metric.bounds.length + 1).fill(0) : [];
    const series: Series = { labels: Object.fromEntries(entries), value: 0, counts };
    metric.series.set(key, series);
    return series;
  }
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

function escapeText(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function formatNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
