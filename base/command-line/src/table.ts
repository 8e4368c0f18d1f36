import { clean } from "./clean.ts";

const cellWidthMin = 5;
const paddingWidth = 3;

/** Columns as wide as their widest cell, three spaces apart; nothing after the last cell of a line. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  const cleaned = rows.map((cells) => cells.map(clean));
  for (const cells of cleaned) {
    for (const [index, cell] of cells.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length + paddingWidth, cellWidthMin);
  }
  return cleaned
    .map(
      (cells) =>
        `${cells
          .map((cell, index) => cell.padEnd(widths[index] ?? 0))
          .join("")
          .trimEnd()}\n`,
    )
    .join("");
}

/** The rows of one thing that has several lines in some of its columns. */
export function stackedRows(columns: ReadonlyArray<string | readonly string[]>): string[][] {
  const lists = columns.map((column) => (typeof column === "string" ? [column] : column));
  const height = Math.max(1, ...lists.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) => lists.map((list) => list[line] ?? ""));
}
