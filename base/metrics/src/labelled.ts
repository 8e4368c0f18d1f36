import { escapeText, formatNumber, type Labels, type Sample } from "./samples.ts";

/** Where an observation came from, such as a trace: shown by OpenMetrics beside the value. */
export type Exemplar = Labels;

export interface LabelledOptions {
  /** Sets of values at a time; whatever comes beyond them is counted in `refused`. */
  readonly seriesMax: number;
}

interface LabelledSeries {
  readonly values: readonly string[];
  /** `{a="b"}`, made once. */
  readonly text: string;
  value: number;
  readonly counts: number[];
  exemplar: { readonly labels: Exemplar; readonly value: number } | undefined;
}

/**
 * A counter or histogram whose label names are fixed and whose values are given in their order: for what is counted with every packet.
 * Nothing is sorted or formatted until somebody reads it.
 */
export class LabelledMetric {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  /** Upper bounds; none: it is a counter. */
  readonly bounds: readonly number[];
  readonly #series = new Map<string, LabelledSeries>();
  readonly #seriesMax: number;
  #refused = 0;

  constructor(name: string, help: string, labelNames: readonly string[], bounds: readonly number[], { seriesMax }: LabelledOptions) {
    this.name = name;
    this.help = help;
    this.labelNames = labelNames;
    this.bounds = bounds;
    this.#seriesMax = seriesMax;
  }

  get size(): number {
    return this.#series.size;
  }

  /** How often there was no room for another set of values. */
  get refused(): number {
    return this.#refused;
  }

  increase(values: readonly string[], by = 1, exemplar?: Exemplar): void {
    const series = this.#seriesOf(values);
    if (series === undefined) return;
    series.value += by;
    if (exemplar !== undefined) series.exemplar = { labels: exemplar, value: by };
  }

  observe(values: readonly string[], value: number, exemplar?: Exemplar): void {
    const series = this.#seriesOf(values);
    if (series === undefined) return;
    series.value += value;
    const at = this.bounds.findIndex((bound) => value <= bound);
    const index = at === -1 ? this.bounds.length : at;
    series.counts[index] = (series.counts[index] ?? 0) + 1;
    if (exemplar !== undefined) series.exemplar = { labels: exemplar, value };
  }

  /** Forgets the series that match, and says how many those were. */
  remove(matches: (values: readonly string[]) => boolean): number {
    const before = this.#series.size;
    for (const [key, { values }] of this.#series) if (matches(values)) this.#series.delete(key);
    return before - this.#series.size;
  }

  *samples(): Generator<Sample> {
    for (const { values, value, counts } of this.#series.values()) {
      const labels = Object.fromEntries(this.labelNames.map((name, index) => [name, values[index] ?? ""]));
      if (this.bounds.length === 0) yield { name: this.name, labels, value };
      else {
        yield { name: `${this.name}_sum`, labels, value };
        yield { name: `${this.name}_count`, labels, value: counts.reduce((sum, count) => sum + count, 0) };
      }
    }
  }

  /** Lines without the head. */
  *lines(openMetrics: boolean): Generator<string> {
    for (const series of this.#series.values()) {
      if (this.bounds.length === 0) yield `${this.name}${series.text} ${formatNumber(series.value)}${exemplarText(series, openMetrics)}`;
      else yield* this.#histogramLines(series, openMetrics);
    }
  }

  *#histogramLines(series: LabelledSeries, openMetrics: boolean): Generator<string> {
    let below = 0;
    for (let index = 0; index <= this.bounds.length; index += 1) {
      below += series.counts[index] ?? 0;
      const bound = this.bounds[index];
      const before = index === 0 ? Number.NEGATIVE_INFINITY : (this.bounds[index - 1] ?? 0);
      const shown = series.exemplar;
      const isHere = shown !== undefined && shown.value > before && (bound === undefined || shown.value <= bound);
      const labels = `${series.text.slice(0, -1)}${series.text === "" ? "{" : ","}le="${bound === undefined ? "+Inf" : formatNumber(bound)}"}`;
      yield `${this.name}_bucket${labels} ${below}${isHere ? exemplarText(series, openMetrics) : ""}`;
    }
    yield `${this.name}_sum${series.text} ${formatNumber(series.value)}`;
    yield `${this.name}_count${series.text} ${below}`;
  }

  #seriesOf(values: readonly string[]): LabelledSeries | undefined {
    const key = values.join("\u0000");
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    if (this.#series.size >= this.#seriesMax) {
      this.#refused += 1;
      return undefined;
    }
    const pairs = this.labelNames.map((name, index) => `${name}="${escapeText(values[index] ?? "")}"`);
    const text = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
    const counts = this.bounds.length === 0 ? [] : new Array<number>(this.bounds.length + 1).fill(0);
    const series = { values: [...values], text, value: 0, counts, exemplar: undefined };
    this.#series.set(key, series);
    return series;
  }
}

function exemplarText({ exemplar }: LabelledSeries, openMetrics: boolean): string {
  if (exemplar === undefined || !openMetrics) return "";
  const pairs = Object.entries(exemplar.labels).map(([name, value]) => `${name}="${escapeText(value)}"`);
  return ` # {${pairs.join(",")}} ${formatNumber(exemplar.value)}`;
}
