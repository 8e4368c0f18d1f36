import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { UsageError } from "@cilium-ts/command-line";
import { parseDuration } from "@cilium-ts/std";

const months: readonly string[] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;

export const timeFormats = [
  "StampMilli",
  "YearMonthDay",
  "YearMonthDayHour",
  "YearMonthDayHourMinute",
  "RFC3339",
  "RFC3339Milli",
  "RFC3339Micro",
  "RFC3339Nano",
  "RFC1123Z",
] as const;

export type TimeFormat = (typeof timeFormats)[number];

export function parseTimeFormat(name: string): TimeFormat {
  const found = timeFormats.find((format) => format === name);
  if (found === undefined) throw new UsageError(`time format ${JSON.stringify(name)} is none of ${timeFormats.join(", ")}`);
  return found;
}

/** UTC, as all of Hubble's output. Fractions of RFC 3339 end at their last digit that is not 0. */
export function formatTime(format: TimeFormat, time: Timestamp | undefined): string {
  if (time === undefined) return "N/A";
  const date = new Date(Number(time.seconds) * 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const nanos = String(time.nanos).padStart(9, "0");
  const month = months[date.getUTCMonth()] ?? "";
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  const day = `${String(date.getUTCFullYear()).padStart(4, "0")}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;
  const rfc3339 = (digits: number): string => {
    const fraction = nanos.slice(0, digits).replace(/0+$/, "");
    return `${day}T${clock}${fraction === "" ? "" : `.${fraction}`}Z`;
  };
  switch (format) {
    case "StampMilli":
      return `${month} ${String(date.getUTCDate()).padStart(2)} ${clock}.${nanos.slice(0, 3)}`;
    case "YearMonthDay":
      return day;
    case "YearMonthDayHour":
      return `${day}T${clock.slice(0, 2)}Z`;
    case "YearMonthDayHourMinute":
      return `${day}T${clock.slice(0, 5)}Z`;
    case "RFC3339":
      return rfc3339(0);
    case "RFC3339Milli":
      return rfc3339(3);
    case "RFC3339Micro":
      return rfc3339(6);
    case "RFC3339Nano":
      return rfc3339(9);
    case "RFC1123Z":
      return `${days[date.getUTCDay()]}, ${two(date.getUTCDate())} ${month} ${date.getUTCFullYear()} ${clock} +0000`;
  }
}

/** A moment as --since and --until take it: so long ago (`3s`, `1h30m`), or a date in one of the formats. In ms since the epoch. */
export function parseTime(text: string, nowMs: number): number {
  const durationMs = parseDuration(text);
  if (durationMs !== undefined) return nowMs - durationMs;
  const zoned = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2})(?::(\d{2})(?::(\d{2}(?:\.\d{1,9})?))?)?(Z|[+-]\d{2}:\d{2}))?$/.exec(text);
  if (zoned !== null) {
    const [, day = "", hour = "00", minute = "00", second = "00", zone = "Z"] = zoned;
    return checked(text, Date.parse(`${day}T${hour}:${minute}:${second}${zone}`));
  }
  const stamp = /^([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d{2}:\d{2}:\d{2}\.\d{3})$/.exec(text);
  if (stamp !== null) {
    const month = months.indexOf(stamp[1] ?? "") + 1;
    const year = new Date(nowMs).getUTCFullYear();
    const two = (value: number | string): string => String(value).padStart(2, "0");
    return checked(text, Date.parse(`${year}-${two(month)}-${two(stamp[2] ?? "")}T${stamp[3]}Z`));
  }
  if (/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4}$/.test(text)) return checked(text, Date.parse(text));
  return checked(text, Number.NaN);
}

function checked(text: string, timeMs: number): number {
  if (Number.isNaN(timeMs)) {
    throw new UsageError(
      `time ${JSON.stringify(text)} cannot be read; write how long ago (5m, 1h30m) or a date such as 2026-01-31T15:04:05Z`,
    );
  }
  return timeMs;
}
