import { type EndpointResolver, EventView, type FlowEndpoint, type FlowRing } from "@cilium-ts/flow";

const lifetimeNs = 3_600e9;
const namespaceCountMax = 10_000;

export interface SeenNamespace {
  readonly cluster: string;
  readonly namespace: string;
}

/** Events looked at in one glance, which happens again and again: few enough to cost nothing. */
const glanceCountMax = 2_000;

/**
 * The namespaces of flows seen within the last hour. Looked for when somebody asks, among the events that are still there, and in
 * glances between, so that those whose flows were overwritten are known.
 */
export class Namespaces {
  readonly #ring: FlowRing;
  readonly #event: EventView;
  readonly #lastSeenNs = new Map<string, SeenNamespace & { readonly atNs: number }>();
  #cursor = 0;

  constructor(ring: FlowRing, resolver: EndpointResolver) {
    this.#ring = ring;
    this.#event = new EventView(resolver);
  }

  /** Looks at the newest events that were not looked at yet. */
  glance(): void {
    this.#cursor = Math.max(this.#cursor, this.#ring.nextSequence - glanceCountMax);
    this.#lookOn();
  }

  /** Sorted by cluster, then namespace. */
  list(nowNs: number): SeenNamespace[] {
    this.#lookOn();
    for (const [key, seen] of this.#lastSeenNs) if (nowNs - seen.atNs > lifetimeNs) this.#lastSeenNs.delete(key);
    const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
    return [...this.#lastSeenNs.values()]
      .map(({ cluster, namespace }) => ({ cluster, namespace }))
      .sort((a, b) => compare(a.cluster, b.cluster) || compare(a.namespace, b.namespace));
  }

  #lookOn(): void {
    this.#cursor = Math.max(this.#cursor, this.#ring.firstSequence);
    for (; this.#cursor < this.#ring.nextSequence; this.#cursor += 1) {
      if (!this.#event.load(this.#ring, this.#cursor) || this.#event.isLost) continue;
      this.#note(this.#event.source, this.#event.timeNs);
      this.#note(this.#event.destination, this.#event.timeNs);
    }
  }

  #note(endpoint: FlowEndpoint | undefined, atNs: number): void {
    if (endpoint === undefined || endpoint.namespace === "") return;
    const key = `${endpoint.clusterName}/${endpoint.namespace}`;
    if (this.#lastSeenNs.size >= namespaceCountMax && !this.#lastSeenNs.has(key)) return;
    this.#lastSeenNs.set(key, { cluster: endpoint.clusterName, namespace: endpoint.namespace, atNs });
  }
}
