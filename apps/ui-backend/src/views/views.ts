import {
  createFlowMatcher,
  formatViewQuery,
  type NamespaceSummary,
  type PolicyOf,
  type SeenFlow,
  type SourceState,
  type ViewQuery,
} from "@cilium-ts/service-map";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { FlowSource } from "../hubble/flow-source.ts";
import { PolicyHits } from "../policies/policy-hits.ts";
import { NamespaceTotals } from "./namespace-totals.ts";
import { type Surroundings, View } from "./view.ts";

/** Namespaces that somebody may look at: a flow shows when one of its ends is in one. Undefined: everything. */
export type AllowedNamespaces = ReadonlySet<string> | undefined;

export interface ViewsOptions {
  readonly clock: Clock;
  readonly source: FlowSource;
  readonly build: string;
  /** Makes positions of this process unlike those of others. */
  readonly epoch: string;
  /** What policies mean for a service; `updatePolicies` when it says something else. */
  readonly policyOf: PolicyOf;
  /** Whether the cluster has no such namespace, as far as it is known. */
  isGone(namespace: string): boolean;
}

/** Distinct questions at a time; each costs a look at every flow. */
const viewCountMax = 200;
/** A view that nobody looks at stays for those who come back. */
const idleViewMs = 60_000;
/** Flows with which a new view begins. */
const recentFlowsMax = 20_000;
const rangeFlowsMax = 100_000;

export class TooManyViews extends Error {
  override readonly name = "TooManyViews";
}

interface KeptView {
  readonly view: View;
  readonly isRange: boolean;
  readonly allowed: AllowedNamespaces;
  readonly stop: AbortController;
  readers: number;
  idleSinceMs: number;
}

/** One reader's hold on a view. */
export interface OpenView {
  readonly position: string;
  /** What came after a position; everything for one that is not known. */
  textSince(position: string, options: { readonly withNamespaces: boolean }): string;
  close(): void;
}

/** The questions that are being asked, and the flows that answer them. */
export class Views {
  readonly #options: ViewsOptions;
  readonly #views = new Map<string, KeptView>();
  readonly #recent: SeenFlow[] = [];
  readonly #totals = new NamespaceTotals();
  readonly hits = new PolicyHits();
  readonly #stopListening: () => void;
  #opened = 0;
  /** Questions that found no room. */
  refused = 0;

  constructor(options: ViewsOptions) {
    this.#options = options;
    this.#stopListening = options.source.onFlow((flow) => this.#add(flow));
  }

  get state(): SourceState {
    return this.#options.source.state;
  }

  get namespaceCount(): number {
    return this.#totals.count;
  }

  get count(): number {
    return this.#views.size;
  }

  get totals(): { readonly services: number; readonly links: number; readonly evictedLinks: number } {
    const sum = { services: 0, links: 0, evictedLinks: 0 };
    for (const { view } of this.#views.values()) {
      sum.services += view.size.services;
      sum.links += view.size.links;
      sum.evictedLinks += view.evictedLinks;
    }
    return sum;
  }

  /** Throws TooManyViews. */
  open(query: ViewQuery, allowed: AllowedNamespaces): OpenView {
    const key = `${formatViewQuery(query)} ${allowed === undefined ? "*" : [...allowed].sort().join(",")}`;
    const kept = this.#views.get(key) ?? this.#create(key, query, allowed);
    kept.readers += 1;
    return {
      get position() {
        return kept.view.position;
      },
      textSince: (position, { withNamespaces }) => kept.view.textSince(position, this.#surroundings(kept, withNamespaces)),
      close: () => {
        kept.readers -= 1;
        kept.idleSinceMs = this.#options.clock.nowMs();
      },
    };
  }

  /** After another answer of `policyOf`. */
  updatePolicies(): void {
    for (const { view } of this.#views.values()) view.updatePolicies();
  }

  /** Some times a second: what was said for the moment before is said no more. */
  beat(): void {
    for (const { view } of this.#views.values()) view.forgetTexts();
  }

  /** Once in a while. */
  clean(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const [key, kept] of this.#views) {
      if (kept.readers === 0 && kept.idleSinceMs + idleViewMs < nowMs) {
        kept.stop.abort();
        this.#views.delete(key);
      } else if (!kept.isRange) kept.view.expire(nowMs);
    }
  }

  [Symbol.dispose](): void {
    this.#stopListening();
    for (const { stop } of this.#views.values()) stop.abort();
    this.#views.clear();
  }

  #surroundings({ allowed }: KeptView, withNamespaces: boolean): Surroundings {
    const namespaces = withNamespaces ? this.#listNamespaces(allowed) : undefined;
    return { state: this.#options.source.state, namespaces, build: this.#options.build };
  }

  #listNamespaces(allowed: AllowedNamespaces): NamespaceSummary[] {
    const { isGone } = this.#options;
    return this.#totals.list(allowed).map((summary) => (isGone(summary.name) ? { ...summary, isGone: true } : summary));
  }

  #create(key: string, query: ViewQuery, allowed: AllowedNamespaces): KeptView {
    if (this.#views.size >= viewCountMax) this.#dropIdle();
    this.#opened += 1;
    const matches = createFlowMatcher(query);
    const mayBeSeen = ({ source, destination }: SeenFlow): boolean =>
      allowed === undefined || allowed.has(source.namespace) || allowed.has(destination.namespace);
    // The other end of a flow shows, but not how it is protected.
    const policyOf: PolicyOf = (service) =>
      allowed === undefined || allowed.has(service.namespace) ? this.#options.policyOf(service) : null;
    const view = new View((flow) => mayBeSeen(flow) && matches(flow), `${this.#options.epoch}-${this.#opened}`, policyOf);
    const isRange = query.range !== undefined;
    const kept: KeptView = { view, isRange, allowed, stop: new AbortController(), readers: 0, idleSinceMs: this.#options.clock.nowMs() };
    this.#views.set(key, kept);
    if (query.range !== undefined) void this.#load(kept, query.range);
    else for (const flow of this.#recent) view.add(flow);
    return kept;
  }

  #dropIdle(): void {
    for (const [key, { readers, stop }] of this.#views) {
      if (readers > 0) continue;
      stop.abort();
      this.#views.delete(key);
      return;
    }
    this.refused += 1;
    throw new TooManyViews(`${viewCountMax} different views are open: close some, or look at one that others look at`);
  }

  async #load({ view, stop }: KeptView, range: NonNullable<ViewQuery["range"]>): Promise<void> {
    let count = 0;
    try {
      for await (const flows of this.#options.source.range({ ...range, countMax: rangeFlowsMax }, stop.signal)) {
        count += flows.length;
        for (const flow of flows) view.add(flow);
      }
      if (count >= rangeFlowsMax)
        view.note(`The range holds more than ${rangeFlowsMax} flows: these are the newest. Choose a shorter one to see all.`);
    } catch (cause) {
      if (!stop.signal.aborted) view.note(`Hubble could not give all flows of the range: ${errorMessage(cause)}`);
    }
    view.complete();
  }

  #add(flow: SeenFlow): void {
    this.#totals.add(flow);
    this.hits.add(flow);
    this.#recent.push(flow);
    if (this.#recent.length >= recentFlowsMax * 2) this.#recent.splice(0, this.#recent.length - recentFlowsMax);
    for (const { view, isRange } of this.#views.values()) if (!isRange) view.add(flow);
  }
}
