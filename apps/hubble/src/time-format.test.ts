import assert from "node:assert/strict";
import { test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { formatTime, parseTime, type TimeFormat } from "./time-format.ts";

const time = { ...timestampFromMs(Date.parse("2026-03-05T15:04:05Z")), nanos: 120_000_300 };
const nowMs = Date.parse("2026-06-15T12:00:00Z");

for (const [format, expected] of [
  ["StampMilli", "Mar  5 15:04:05.120"],
  ["YearMonthDay", "2026-03-05"],
  ["YearMonthDayHour", "2026-03-05T15Z"],
  ["YearMonthDayHourMinute", "2026-03-05T15:04Z"],
  ["RFC3339", "2026-03-05T15:04:05Z"],
  ["RFC3339Milli", "2026-03-05T15:04:05.12Z"],
  ["RFC3339Micro", "2026-03-05T15:04:05.12Z"],
  ["RFC3339Nano", "2026-03-05T15:04:05.1200003Z"],
  ["RFC1123Z", "Thu, 05 Mar 2026 15:04:05 +0000"],
] satisfies ReadonlyArray<readonly [TimeFormat, string]>) {
  test(`${format} is ${expected}`, () => assert.equal(formatTime(format, time), expected));
}

test("no time is N/A", () => assert.equal(formatTime("StampMilli", undefined), "N/A"));

for (const [text, expected] of [
  ["3s", "2026-06-15T11:59:57.000Z"],
  ["1h43m", "2026-06-15T10:17:00.000Z"],
  ["1.5s", "2026-06-15T11:59:58.500Z"],
  ["2026-01-31", "2026-01-31T00:00:00.000Z"],
  ["2026-01-31T15Z", "2026-01-31T15:00:00.000Z"],
  ["2026-01-31T15+02:00", "2026-01-31T13:00:00.000Z"],
  ["2026-01-31T15:04-07:00", "2026-01-31T22:04:00.000Z"],
  ["2026-01-31T15:04:05.123456789Z", "2026-01-31T15:04:05.123Z"],
  ["Jan  2 15:04:05.006", "2026-01-02T15:04:05.006Z"],
  ["Mon, 02 Jan 2006 15:04:05 -0700", "2006-01-02T22:04:05.000Z"],
] as const) {
  test(`time ${JSON.stringify(text)} is ${expected}`, () => assert.equal(new Date(parseTime(text, nowMs)).toISOString(), expected));
}

for (const text of ["", "soon", "5", "2026-13-01", "5 m", "12:00"]) {
  test(`time ${JSON.stringify(text)} is refused`, () => assert.throws(() => parseTime(text, nowMs), /cannot be read; write how long ago/));
}
