import { clean } from "./clean.ts";

const cellWidthMin = 5;
const paddingWidth = 3;
const rowCountMax = 10_000;

type Rows = readonly (readonly string[])[];

/** Columns as wide as their widest cell, three spaces apart; nothing after the last cell of a line. */
export function tableText(rows: Rows): string {
  return aligned(
    rows.map((cells) => cells.map(clean)),
    cellWidthMin,
  );
}

function aligned(rows: Rows, widthMin: number): string {
  const widths: number[] = [];
  for (const cells of rows)
    for (const [index, cell] of cells.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length + paddingWidth, widthMin);
  return rows
    .map(
      (cells) =>
        `${cells
          .map((cell, index) => cell.padEnd(widths[index] ?? 0))
          .join("")
          .trimEnd()}\n`,
    )
    .join("");
}

/** The same for rows that come one by one, and whose cells may be coloured: who adds them has cleaned them. At most 10,000 are held. */
export class Columns {
  #rows: (readonly string[])[] = [];

  get isFull(): boolean {
    return this.#rows.length >= rowCountMax;
  }

  add(cells: readonly string[]): void {
    this.#rows.push(cells);
  }

  take(): string {
    const rows = this.#rows;
    this.#rows = [];
    return aligned(rows, 0);
  }
}

/** The rows of one thing that has several lines in some of its columns. */
export function stackedRows(columns: ReadonlyArray<string | readonly string[]>): string[][] {
  const lists = columns.map((column) => (typeof column === "string" ? [column] : column));
  const height = Math.max(1, ...lists.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) => lists.map((list) => list[line] ?? ""));
}
