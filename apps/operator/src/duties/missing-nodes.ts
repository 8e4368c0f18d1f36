import type { Cluster } from "../cluster/cluster.ts";

/** Enough for an agent that was just being started anew, or whose last attempts failed. */
const patienceMs = 60_000;

/**
 * Nodes whose CiliumNode somebody deleted hold pod CIDRs that an operator cannot know which leads only since then. Their agents make the
 * objects anew, with what they hold; until then nobody is given anything new, for a minute at most. Nodes that have no agent cost that
 * minute once in a leadership.
 */
export class MissingNodes {
  readonly #cluster: Pick<Cluster, "nodes" | "ciliumNodes">;
  readonly #monotonicMs: () => number;
  readonly #startedAtMs: number;
  #isOver = false;

  constructor(cluster: Pick<Cluster, "nodes" | "ciliumNodes">, monotonicMs: () => number) {
    this.#cluster = cluster;
    this.#monotonicMs = monotonicMs;
    this.#startedAtMs = monotonicMs();
  }

  areWaitedFor(): boolean {
    const { nodes, ciliumNodes } = this.#cluster;
    if (this.#isOver) return false;
    this.#isOver =
      this.#monotonicMs() - this.#startedAtMs >= patienceMs || ![...nodes.keys()].some((name) => ciliumNodes.get(name) === undefined);
    return !this.#isOver;
  }
}
