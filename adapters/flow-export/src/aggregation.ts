import { type Flow, TrafficDirection } from "@cilium-ts/flow";

interface Group {
  readonly flow: Flow;
  readonly counts: { ingress: number; egress: number; unknown: number };
}

const groupCountMax = 10_000;

/** Flows that are equal in the fields that were named are told once, with how many there were. */
export class Aggregation {
  readonly #keyOf: (flow: Flow) => string;
  readonly #groups = new Map<string, Group>();
  #refused = 0;

  /** `keyOf` writes down the fields that make flows equal. */
  constructor(keyOf: (flow: Flow) => string) {
    this.#keyOf = keyOf;
  }

  /** Flows that found no room among 10,000 groups; they are told alone. */
  get refused(): number {
    return this.#refused;
  }

  /** False: there is no room for another group. */
  add(flow: Flow): boolean {
    const key = this.#keyOf(flow);
    let group = this.#groups.get(key);
    if (group === undefined) {
      if (this.#groups.size >= groupCountMax) {
        this.#refused += 1;
        return false;
      }
      group = { flow, counts: { ingress: 0, egress: 0, unknown: 0 } };
      this.#groups.set(key, group);
    }
    if (flow.trafficDirection === TrafficDirection.ingress) group.counts.ingress += 1;
    else if (flow.trafficDirection === TrafficDirection.egress) group.counts.egress += 1;
    else group.counts.unknown += 1;
    return true;
  }

  /** The first flow of each group, with the counts as a field of it; then all is forgotten. */
  *take(): Generator<{ readonly flow: Flow; readonly extra: string }> {
    for (const { flow, counts } of this.#groups.values()) {
      const fields = Object.entries(counts)
        .filter(([, count]) => count > 0)
        .map(([name, count]) => `"${name === "unknown" ? "unknown_direction" : name}_flow_count":${count}`);
      yield { flow, extra: `"aggregate":{${fields.join(",")}}` };
    }
    this.#groups.clear();
  }
}
