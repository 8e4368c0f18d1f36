/** The node itself. */
export const hostEndpointId = 16_383;
/** The largest id of a workload: 14 bits, as the datapath's map has rows, less the host's. */
export const endpointIdMax = hostEndpointId - 1;

export type EndpointIdAllocation = { readonly kind: "allocated"; readonly id: number } | { readonly kind: "full"; readonly reason: string };

/**
 * Numbers of endpoints on this node. A number that has become free is taken again as late as possible: events and kernel state that
 * still carry it should not be mistaken for the next endpoint's.
 */
export class EndpointIdAllocator {
  readonly #idMax: number;
  readonly #used = new Set<number>();
  /** Below #next and not in use, the longest free first. */
  readonly #free = new Set<number>();
  /** All from here on have never been used. */
  #next = 1;

  constructor(options: { idMax?: number } = {}) {
    this.#idMax = options.idMax ?? endpointIdMax;
  }

  get used(): number {
    return this.#used.size;
  }

  allocate(): EndpointIdAllocation {
    const id = this.#next <= this.#idMax ? this.#next : this.#free.values().next().value;
    if (id === undefined) {
      return { kind: "full", reason: `all ${this.#idMax} endpoint ids of this node are in use: remove pods, or add a node` };
    }
    this.claim(id);
    return { kind: "allocated", id };
  }

  /** Takes this very number, as for a restored endpoint. False when it is taken or out of range. */
  claim(id: number): boolean {
    if (!Number.isInteger(id) || id < 1 || id > this.#idMax || this.#used.has(id)) return false;
    for (; this.#next <= id; this.#next += 1) this.#free.add(this.#next);
    this.#free.delete(id);
    this.#used.add(id);
    return true;
  }

  /** Releasing what is free does nothing. */
  release(id: number): void {
    if (this.#used.delete(id)) this.#free.add(id);
  }
}
