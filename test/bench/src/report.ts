import { cpus, release } from "node:os";

/** One measured quantity. Peers are measured in the same run, interleaved with ours. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  /** The median. */
  readonly value: number;
  readonly repeats: number;
  /** Largest minus smallest, over the median. */
  readonly spread: number;
  readonly peers: Readonly<Record<string, number>>;
  /** Ours divided by the peer's. */
  readonly ratios: Readonly<Record<string, number>>;
  /** `of` names a ratio, or "value". */
  readonly aim: { readonly of: string; readonly better: "higher" | "lower"; readonly at: number } | null;
  readonly met: boolean | null;
  /** What Cilium measured on a machine of the same kind, where that is known. */
  readonly incumbent?: number;
}

export interface Report {
  readonly bench: string;
  readonly machine: { readonly cpus: number; readonly model: string; readonly kernel: string; readonly node: string };
  readonly rows: readonly Row[];
}

export interface Samples {
  readonly name: string;
  readonly unit: string;
  readonly ours: readonly number[];
  readonly peers?: Readonly<Record<string, readonly number[]>>;
  readonly aim?: Row["aim"];
  readonly incumbent?: number;
}

export function createRow(samples: Samples): Row {
  const value = median(samples.ours);
  const peers = Object.fromEntries(Object.entries(samples.peers ?? {}).map(([name, values]) => [name, round(median(values))]));
  const ratios = Object.fromEntries(Object.entries(peers).map(([name, peer]) => [name, round(value / peer)]));
  const aim = samples.aim ?? null;
  const judged = aim === null ? undefined : aim.of === "value" ? value : ratios[aim.of];
  const met = aim === null || judged === undefined ? null : aim.better === "higher" ? judged >= aim.at : judged <= aim.at;
  const row = {
    name: samples.name,
    unit: samples.unit,
    value: round(value),
    repeats: samples.ours.length,
    spread: round(spreadOf(samples.ours)),
    peers,
    ratios,
    aim,
    met,
  };
  return samples.incumbent === undefined ? row : { ...row, incumbent: samples.incumbent };
}

export function createReport(bench: string, rows: readonly Row[]): Report {
  const model = cpus()[0]?.model ?? "unknown";
  return { bench, machine: { cpus: cpus().length, model, kernel: release(), node: process.version }, rows };
}

export function formatReport(report: Report): string {
  const lines = [["", "value", "unit", "spread", "ratios", "aim", "incumbent"]];
  for (const row of report.rows) {
    const ratios = Object.entries(row.ratios).map(([name, ratio]) => `${ratio} of ${name}`);
    const aim =
      row.aim === null
        ? ""
        : `${row.aim.better === "higher" ? ">=" : "<="} ${row.aim.at}${row.aim.of === "value" ? "" : ` of ${row.aim.of}`}: ${row.met === true ? "met" : "missed"}`;
    lines.push([
      row.name,
      String(row.value),
      row.unit,
      `${Math.round(row.spread * 100)} %`,
      ratios.join(", "),
      aim,
      row.incumbent === undefined ? "" : String(row.incumbent),
    ]);
  }
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value at the rank; between two values, in proportion. */
export function percentile(values: readonly number[], rank: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((left, right) => left - right);
  const position = (sorted.length - 1) * rank;
  const low = sorted[Math.floor(position)] ?? Number.NaN;
  const high = sorted[Math.ceil(position)] ?? Number.NaN;
  return low + (high - low) * (position - Math.floor(position));
}

function spreadOf(values: readonly number[]): number {
  const middle = median(values);
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle;
}

function round(value: number): number {
  if (!Number.isFinite(value)) return value;
  return Math.abs(value) >= 1_000 ? Math.round(value) : Number(value.toPrecision(3));
}
