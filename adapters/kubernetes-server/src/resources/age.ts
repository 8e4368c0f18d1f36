/** `45s`, `12m`, `5h30m`, `12d`, `2y30d`: how kubectl shows a span of time, at most two units. */
export function formatAge(spanMs: number): string {
  const seconds = Math.floor(spanMs / 1000);
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return twoUnits(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return twoUnits(hours, "h", minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (hours < 192) return twoUnits(days, "d", hours % 24, "h");
  if (days < 730) return `${days}d`;
  const years = Math.floor(days / 365);
  return years < 8 ? twoUnits(years, "y", days % 365, "d") : `${years}y`;
}

function twoUnits(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`;
}

/** The age of a time stamp, or `<unknown>`. */
export function ageOf(time: unknown, nowMs: number): string {
  const sinceMs = typeof time === "string" ? Date.parse(time) : Number.NaN;
  return Number.isNaN(sinceMs) ? "<unknown>" : formatAge(nowMs - sinceMs);
}
