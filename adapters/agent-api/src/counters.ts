export interface RequestCount {
  readonly method: string;
  /** The route's path; empty for what matched none. */
  readonly path: string;
  readonly status: number;
  readonly count: number;
}

/** How often which route gave which status. Bounded by the routes and by the statuses they give. */
export class RequestCounters {
  readonly #counts = new Map<string, number>();

  add(method: string, path: string, status: number): void {
    const key = `${path === "" ? "" : method} ${path} ${status}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  all(): readonly RequestCount[] {
    return Array.from(this.#counts, ([key, count]) => {
      const [method = "", path = "", status = ""] = key.split(" ");
      return { method, path, status: Number(status), count };
    });
  }
}
