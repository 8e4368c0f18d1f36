const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `300ms`, `1.5s`, `1m30s`, as Go writes durations; undefined for anything else. */
export function parseDurationMs(text: string): number | undefined {
  if (!/^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/.test(text)) return text === "0" ? 0 : undefined;
  let sumMs = 0;
  for (const [, number, unit] of text.matchAll(/([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)/g)) sumMs += Number(number) * (unitsMs[unit ?? ""] ?? 0);
  return sumMs;
}
