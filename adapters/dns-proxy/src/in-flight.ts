/** Questions at once, of all pods and of one; what is beyond is refused. */
export interface InFlightLimits {
  readonly countMax: number;
  readonly ofOneMax: number;
  readonly timeoutMs: number;
}

interface Entry<Asked> {
  readonly asked: Asked;
  readonly owner: number;
  readonly deadlineMs: number;
}

/** Questions that are on their way to servers, by token. All wait equally long, so the oldest is always the next to be given up. */
export class InFlight<Asked> {
  readonly #limits: InFlightLimits;
  readonly #entries = new Map<number, Entry<Asked>>();
  readonly #owners = new Map<number, number>();
  #lastToken = 0;

  constructor(limits: InFlightLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The token; undefined when there are too many. */
  add(owner: number, asked: Asked, nowMs: number): number | undefined {
    const own = this.#owners.get(owner) ?? 0;
    if (this.#entries.size >= this.#limits.countMax || own >= this.#limits.ofOneMax) return undefined;
    do this.#lastToken = (this.#lastToken + 1) >>> 0;
    while (this.#entries.has(this.#lastToken));
    this.#entries.set(this.#lastToken, { asked, owner, deadlineMs: nowMs + this.#limits.timeoutMs });
    this.#owners.set(owner, own + 1);
    return this.#lastToken;
  }

  get(token: number): Asked | undefined {
    return this.#entries.get(token)?.asked;
  }

  /** Undefined: it has been taken already. */
  take(token: number): Asked | undefined {
    const entry = this.#entries.get(token);
    if (entry === undefined) return undefined;
    this.#entries.delete(token);
    const left = (this.#owners.get(entry.owner) ?? 1) - 1;
    if (left === 0) this.#owners.delete(entry.owner);
    else this.#owners.set(entry.owner, left);
    return entry.asked;
  }

  /** Those that have waited too long. */
  takeLate(nowMs: number): Array<readonly [token: number, asked: Asked]> {
    const late: Array<readonly [number, Asked]> = [];
    for (const [token, { deadlineMs }] of this.#entries) {
      if (deadlineMs > nowMs) break;
      const asked = this.take(token);
      if (asked !== undefined) late.push([token, asked]);
    }
    return late;
  }
}
