/** Texts that selectors name, counted, and which of them came and went since somebody asked. */
export class CountedTexts {
  readonly #counts = new Map<string, number>();
  /** Named (true) or unnamed (false) since the changes were taken. */
  readonly #changes = new Map<string, boolean>();

  add(text: string): void {
    this.#count(text, 1);
  }

  remove(text: string): void {
    this.#count(text, -1);
  }

  all(): ReadonlySet<string> {
    return new Set(this.#counts.keys());
  }

  takeChanges(): { added: string[]; removed: string[] } {
    const changes = [...this.#changes];
    this.#changes.clear();
    const of = (named: boolean): string[] => changes.filter(([, now]) => now === named).map(([text]) => text);
    return { added: of(true), removed: of(false) };
  }

  #count(text: string, difference: number): void {
    const before = this.#counts.get(text) ?? 0;
    const count = before + difference;
    if (count === 0) this.#counts.delete(text);
    else this.#counts.set(text, count);
    if ((before === 0) === (count === 0)) return;
    // There and back again is no change.
    if (!this.#changes.delete(text)) this.#changes.set(text, count > 0);
  }
}
