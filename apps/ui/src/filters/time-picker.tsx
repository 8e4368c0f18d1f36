import { type FormEvent, type ReactNode, useState } from "react";
import { Popover } from "../parts/popover.tsx";
import { usePage } from "../state/page.tsx";

const presets = [
  ["Last 15 minutes", 15],
  ["Last hour", 60],
  ["Last 6 hours", 360],
  ["Last 24 hours", 1_440],
] as const;

/** Now, or a range of the past. */
export function TimePicker(): ReactNode {
  const { address, go } = usePage();
  const { range } = address.query;
  const [problem, setProblem] = useState("");
  const choose = (sinceMs: number, untilMs: number): void => go({ query: { ...address.query, range: { sinceMs, untilMs } } });
  const follow = (): void => {
    const { range: _past, ...query } = address.query;
    go({ query });
  };
  const onSubmit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const [sinceMs, untilMs] = [Date.parse(String(form.get("since"))), Date.parse(String(form.get("until")))];
    const refusal =
      Number.isNaN(sinceMs) || Number.isNaN(untilMs)
        ? "Both times are needed."
        : sinceMs >= untilMs
          ? "The range ends before it begins."
          : "";
    setProblem(refusal);
    if (refusal === "") choose(sinceMs, untilMs);
  };
  return (
    <Popover label={range === undefined ? "Live" : `${shortTime(range.sinceMs)} – ${shortTime(range.untilMs)}`} name="Time">
      <button type="button" className="wide" disabled={range === undefined} onClick={follow}>
        Live
      </button>
      {presets.map(([label, minutes]) => (
        <button key={label} type="button" className="wide" onClick={() => choose(Date.now() - minutes * 60_000, Date.now())}>
          {label}
        </button>
      ))}
      <form onSubmit={onSubmit}>
        <label>
          From <input type="datetime-local" step="1" name="since" defaultValue={localTime(range?.sinceMs ?? Date.now() - 3_600_000)} />
        </label>
        <label>
          to <input type="datetime-local" step="1" name="until" defaultValue={localTime(range?.untilMs ?? Date.now())} />
        </label>
        <p className="problem" role="status">
          {problem}
        </p>
        <button type="submit" className="wide">
          Show this range
        </button>
      </form>
    </Popover>
  );
}

function shortTime(timeMs: number): string {
  return new Date(timeMs).toLocaleString(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}

/** What an input for a local time takes. */
function localTime(timeMs: number): string {
  return new Date(timeMs - new Date(timeMs).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
