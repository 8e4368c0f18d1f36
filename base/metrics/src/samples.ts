export type Labels = Readonly<Record<string, string>>;

/** One value, as a reader of the program's own API gets it. */
export interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

export function escapeText(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

export function formatNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
