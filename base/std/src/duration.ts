const unitsMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 };

/** `15m0s`, `1h30m`, `2.5s`, `100ms`, `0`: as durations are written in Cilium's settings. Milliseconds; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^(?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|s|us|µs|ns))+$/.test(text)) return undefined;
  let totalMs = 0;
  for (const [, number = "", unit = ""] of text.matchAll(/([0-9]+(?:\.[0-9]+)?)(h|ms|m|s|us|µs|ns)/g))
    totalMs += Number(number) * (unitsMs[unit] ?? 0);
  return Math.round(totalMs);
}
