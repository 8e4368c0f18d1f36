import type { SeenFlow } from "@cilium-ts/service-map/view";
import type { Column } from "./columns.ts";

/** RFC 4180, with a line of titles. Times are in UTC. */
export function flowsToCsv(flows: readonly SeenFlow[], columns: readonly Column[]): string {
  const rows = flows.map((flow) =>
    columns.map((column) => (column.id === "time" ? new Date(flow.timeMs).toISOString() : column.text(flow))),
  );
  return [columns.map(({ title }) => title), ...rows].map((row) => row.map(csvCell).join(",")).join("\r\n");
}

export function flowsToJsonLines(flows: readonly SeenFlow[]): string {
  return flows.map((flow) => JSON.stringify(flow)).join("\n");
}

function csvCell(text: string): string {
  // A spreadsheet takes these beginnings for formulas, and names of DNS are anybody's.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
