import type { Clock } from "@cilium-ts/std";

/** What must have happened before workloads may come, in this order. */
const milestones = ["api", "datapath", "identities", "policies", "endpoints"] as const;
export type Milestone = (typeof milestones)[number];

const waitsFor: Readonly<Record<Milestone, string>> = {
  api: "the API is not served yet",
  datapath: "the datapath is being loaded",
  identities: "waiting for the API server's list of identities",
  policies: "waiting for the API server's list of policies",
  endpoints: "the policies of restored endpoints are being enforced",
};

/** How far the start has come. */
export class Readiness {
  readonly #clock: Clock;
  readonly #startedAtMs: number;
  readonly #reachedAfterMs = new Map<Milestone, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedAtMs = clock.nowMs();
  }

  reached(milestone: Milestone): void {
    if (!this.#reachedAfterMs.has(milestone)) this.#reachedAfterMs.set(milestone, this.#clock.nowMs() - this.#startedAtMs);
  }

  /** Undefined when all is reached; otherwise the first thing that is missing, as a sentence. */
  missing(): string | undefined {
    const first = milestones.find((milestone) => !this.#reachedAfterMs.has(milestone));
    return first === undefined ? undefined : waitsFor[first];
  }

  /** Milliseconds from the start to each milestone. */
  timings(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#reachedAfterMs);
  }
}
