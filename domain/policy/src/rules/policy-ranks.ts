/** A place in an order that others may come into. */
export interface Ranked {
  readonly key: string;
  rank: number;
}

/** Gives policies numbers in the order of their keys, so that comparing two is comparing numbers. */
export class PolicyRanks {
  readonly #rows: Ranked[] = [];

  add(row: Ranked): void {
    const index = this.#position(row.key);
    this.#rows.splice(index, 0, row);
    const before = this.#rows[index - 1]?.rank ?? (this.#rows[index + 1]?.rank ?? 0) - 2;
    const after = this.#rows[index + 1]?.rank ?? before + 2;
    row.rank = (before + after) / 2;
    // No number is left between the two: all get new ones, in the same order.
    if (row.rank <= before || row.rank >= after) for (const [position, ranked] of this.#rows.entries()) ranked.rank = position;
  }

  remove(row: Ranked): void {
    const index = this.#position(row.key);
    if (this.#rows[index] === row) this.#rows.splice(index, 1);
  }

  #position(key: string): number {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#rows[middle]?.key ?? "") < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
