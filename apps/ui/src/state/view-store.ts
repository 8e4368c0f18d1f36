import type { Link, LinkCounts, NamespaceSummary, SeenFlow, Service, SourceState, ViewMessage } from "@cilium-ts/service-map/view";

/** A link with what is known of its flows: forwarded, dropped, audit, error. */
export interface ShownLink extends Link {
  readonly counts: [number, number, number, number];
  /** Flows a second, smoothed. */
  readonly rates: [number, number, number, number];
}

/** How the page stands with its backend. */
export type PageConnection =
  | { readonly kind: "connecting" }
  | { readonly kind: "open" }
  | { readonly kind: "lost"; readonly reason: string; readonly retryAtMs: number }
  | { readonly kind: "refused"; readonly reason: string };

/** What of the store changed: components look at one of these numbers. */
export type StorePart = "structure" | "counts" | "rates" | "flows" | "state";

/** Older flows are forgotten; history asks Hubble for them again. */
const flowsMax = 20_000;
const rateIntervalMs = 2_000;

/** What the backend told, as it stands. Mutable, because thousands of things change each second; readers are told which part did. */
export class ViewStore {
  readonly services = new Map<string, Service>();
  readonly links = new Map<string, ShownLink>();
  /** The oldest first. */
  flows: SeenFlow[] = [];
  namespaces: readonly NamespaceSummary[] = [];
  state: SourceState | undefined;
  connection: PageConnection = { kind: "connecting" };
  notes: readonly string[] = [];
  skippedFlows = 0;
  isComplete = false;
  hasStarted = false;
  build = "";
  position = "";
  readonly revisions: Record<StorePart, number> = { structure: 0, counts: 0, rates: 0, flows: 0, state: 0 };
  readonly #linkByNumber = new Map<number, ShownLink>();
  readonly #countsBefore = new Map<number, readonly number[]>();
  readonly #listeners = new Set<() => void>();
  readonly #schedule: (tell: () => void) => void;
  #isScheduled = false;
  #ratesAtMs = 0;

  /** `schedule` calls back soon: once an animation frame. */
  constructor(schedule: (tell: () => void) => void) {
    this.#schedule = schedule;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  take(message: ViewMessage, nowMs: number): void {
    if (message.isStart) this.#forget();
    const { map } = message;
    this.#takeMap(map, message.isStart);
    if (message.flows.length > 0) {
      this.flows = [...this.flows, ...message.flows].slice(-flowsMax);
      this.#changed("flows");
    }
    if (message.namespaces !== undefined) this.namespaces = message.namespaces;
    this.state = message.state;
    this.notes = message.notes;
    this.skippedFlows = message.skippedFlows;
    this.isComplete = message.isComplete ?? false;
    this.build = message.build;
    this.position = message.position;
    this.hasStarted = true;
    this.connection = { kind: "open" };
    this.#updateRates(nowMs, message.isStart);
    this.#changed("state");
  }

  setConnection(connection: PageConnection): void {
    this.connection = connection;
    this.#changed("state");
  }

  /** For another question. */
  reset(): void {
    this.#forget();
    this.hasStarted = false;
    this.position = "";
    this.isComplete = false;
    this.notes = [];
    this.skippedFlows = 0;
    this.connection = { kind: "connecting" };
    this.#changed("state");
  }

  linkByNumber(number: number): ShownLink | undefined {
    return this.#linkByNumber.get(number);
  }

  #takeMap({ services, links, counts, removedServices, removedLinks }: ViewMessage["map"], isStart: boolean): void {
    for (const id of removedServices) this.services.delete(id);
    for (const id of removedLinks) this.#removeLink(id);
    for (const service of services) this.services.set(service.id, service);
    for (const link of links) {
      const known = this.links.get(link.id);
      const shown: ShownLink = { ...link, counts: known?.counts ?? [0, 0, 0, 0], rates: known?.rates ?? [0, 0, 0, 0] };
      this.links.set(link.id, shown);
      this.#linkByNumber.set(link.number, shown);
    }
    for (const [number, ...count] of counts as readonly LinkCounts[]) {
      const link = this.#linkByNumber.get(number);
      if (link === undefined) continue;
      for (const [index, value] of count.entries()) link.counts[index as 0] = value;
    }
    const hasStructure = isStart || services.length + links.length + removedServices.length + removedLinks.length > 0;
    if (hasStructure) this.#changed("structure");
    if (counts.length > 0) this.#changed("counts");
  }

  #removeLink(id: string): void {
    const link = this.links.get(id);
    if (link === undefined) return;
    this.links.delete(id);
    this.#linkByNumber.delete(link.number);
    this.#countsBefore.delete(link.number);
  }

  #updateRates(nowMs: number, isStart: boolean): void {
    const elapsedMs = nowMs - this.#ratesAtMs;
    if (!isStart && elapsedMs < rateIntervalMs) return;
    for (const link of this.links.values()) {
      const before = this.#countsBefore.get(link.number);
      for (let index = 0; index < 4; index += 1) {
        const at = index as 0;
        // What was there at the start says nothing about now.
        const rate = isStart || before === undefined ? 0 : ((link.counts[at] - (before[at] ?? 0)) * 1_000) / elapsedMs;
        link.rates[at] = isStart ? 0 : link.rates[at] * 0.4 + rate * 0.6;
      }
      this.#countsBefore.set(link.number, [...link.counts]);
    }
    this.#ratesAtMs = nowMs;
    this.#changed("counts");
    this.#changed("rates");
  }

  #forget(): void {
    for (const known of [this.services, this.links, this.#linkByNumber, this.#countsBefore]) known.clear();
    this.flows = [];
    this.#changed("structure");
    this.#changed("flows");
    this.#changed("counts");
  }

  #changed(part: StorePart): void {
    this.revisions[part] += 1;
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(() => {
      this.#isScheduled = false;
      for (const tell of this.#listeners) tell();
    });
  }
}
