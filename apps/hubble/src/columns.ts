const rowCountMax = 10_000;
const padding = 3;
const widthMin = 2;

/** Rows whose columns are as wide as their widest cell. Held until taken, at most 10,000 of them. */
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
    const widths: number[] = [];
    for (const cells of rows) {
      for (const [index, cell] of cells.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length + padding, widthMin);
    }
    return rows
      .map((cells) => `${cells.map((cell, index) => (index === cells.length - 1 ? cell : cell.padEnd(widths[index] ?? 0))).join("")}\n`)
      .join("");
  }
}
