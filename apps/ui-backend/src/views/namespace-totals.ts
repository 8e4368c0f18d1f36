import type { NamespaceSummary, SeenFlow } from "@cilium-ts/service-map";

const namespaceCountMax = 5_000;

/** Which namespaces there are, as far as flows tell, and how much happens in each. */
export class NamespaceTotals {
  readonly #totals = new Map<string, { flows: number; drops: number }>();
  /** Namespaces beyond those that are kept. */
  refused = 0;

  /** Changes when there is one more. */
  get count(): number {
    return this.#totals.size;
  }

  add({ source, destination, verdict }: SeenFlow): void {
    this.#count(source.namespace, verdict === "dropped");
    if (destination.namespace !== source.namespace) this.#count(destination.namespace, verdict === "dropped");
  }

  /** In the order of their names; undefined: all. */
  list(allowed?: ReadonlySet<string>): NamespaceSummary[] {
    return [...this.#totals]
      .filter(([name]) => allowed === undefined || allowed.has(name))
      .map(([name, { flows, drops }]) => ({ name, flows, drops }))
      .sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  #count(name: string, isDrop: boolean): void {
    if (name === "") return;
    let totals = this.#totals.get(name);
    if (totals === undefined) {
      if (this.#totals.size >= namespaceCountMax) {
        this.refused += 1;
        return;
      }
      totals = { flows: 0, drops: 0 };
      this.#totals.set(name, totals);
    }
    totals.flows += 1;
    if (isDrop) totals.drops += 1;
  }
}
