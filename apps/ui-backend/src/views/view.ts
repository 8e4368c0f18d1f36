import {
  defaultServiceMapLimits,
  type NamespaceSummary,
  type PolicyOf,
  type SeenFlow,
  ServiceMap,
  type SourceState,
  type ViewMessage,
} from "@cilium-ts/service-map";

/** The table's flows that a view keeps for those who come later. */
const flowsKeptMax = 5_000;
/** Nobody reads more than a thousand a second; the map counts them all. Drops get as many again. Short windows, so that those that show are of all moments. */
const windowMs = 100;
const flowsPerWindowMax = 100;
/** What one message carries at most: the newest. */
const flowsPerMessageMax = 2_000;
const notesMax = 20;

export interface Surroundings {
  readonly state: SourceState;
  /** Undefined: as it was told before. */
  readonly namespaces: readonly NamespaceSummary[] | undefined;
  readonly build: string;
}

/** What everybody who asks the same sees. Costs the same for one browser and for many. */
export class View {
  readonly #matches: (flow: SeenFlow) => boolean;
  readonly #epoch: string;
  readonly #map: ServiceMap;
  readonly #flows: SeenFlow[] = [];
  readonly #notes: string[] = [];
  readonly #texts = new Map<string, string>();
  #flowCount = 0;
  #skipped = 0;
  #window = 0;
  #keptInWindow = 0;
  #isComplete: boolean | undefined;

  /** `epoch` differs from that of every other view, also of those before a restart. */
  constructor(matches: (flow: SeenFlow) => boolean, epoch: string, policyOf: PolicyOf) {
    this.#matches = matches;
    this.#epoch = epoch;
    this.#map = new ServiceMap(defaultServiceMapLimits, policyOf);
  }

  get size(): ServiceMap["size"] {
    return this.#map.size;
  }

  get evictedLinks(): number {
    return this.#map.evicted;
  }

  add(flow: SeenFlow): void {
    if (!this.#matches(flow)) return;
    this.#map.add(flow);
    // By the flow's own time, so that the past is kept as the present is.
    const window = Math.floor(flow.timeMs / windowMs);
    if (window > this.#window) {
      this.#window = window;
      this.#keptInWindow = 0;
    }
    if (this.#keptInWindow >= flowsPerWindowMax * (flow.verdict === "forwarded" ? 1 : 2)) {
      this.#skipped += 1;
      return;
    }
    this.#keptInWindow += 1;
    this.#flowCount += 1;
    this.#flows.push(flow);
    if (this.#flows.length >= flowsKeptMax * 2) this.#flows.splice(0, this.#flows.length - flowsKeptMax);
  }

  note(text: string): void {
    if (this.#notes.length < notesMax) this.#notes.push(text);
  }

  complete(): void {
    this.#isComplete = true;
  }

  updatePolicies(): void {
    this.#map.updatePolicies();
  }

  /** Once in a while: forgets links that nobody used for long. */
  expire(nowMs: number): void {
    this.#map.expire(nowMs);
  }

  get position(): string {
    return `${this.#epoch}.${this.#map.version}.${this.#flowCount}.${this.#notes.length}.${this.#isComplete === true ? 1 : 0}`;
  }

  /**
   * What came after a position, as JSON; everything for one that is not known. The same text serves all who are at the same position, until `forgetTexts`.
   */
  textSince(position: string, surroundings: Surroundings): string {
    const key = `${position} ${surroundings.namespaces === undefined ? "" : "namespaces"}`;
    let text = this.#texts.get(key);
    if (text === undefined) {
      text = JSON.stringify(this.#messageSince(position, surroundings));
      this.#texts.set(key, text);
    }
    return text;
  }

  forgetTexts(): void {
    this.#texts.clear();
  }

  #messageSince(position: string, { state, namespaces, build }: Surroundings): ViewMessage {
    const [epoch, version = 0, flowCount = 0] = parsePosition(position);
    const isKnown = epoch === this.#epoch && this.#map.knows(version);
    const missing = Math.min(isKnown ? this.#flowCount - flowCount : flowsKeptMax, this.#flows.length, flowsPerMessageMax);
    return {
      position: this.position,
      isStart: !isKnown,
      map: this.#map.changesSince(isKnown ? version : 0),
      flows: missing === 0 ? [] : this.#flows.slice(-missing),
      skippedFlows: this.#skipped,
      state,
      ...(namespaces === undefined ? {} : { namespaces }),
      ...(this.#isComplete === undefined ? {} : { isComplete: this.#isComplete }),
      notes: this.#notes,
      build,
    };
  }
}

function parsePosition(position: string): [epoch: string, ...numbers: number[]] {
  const [epoch = "", ...numbers] = position.split(".");
  return [epoch, ...numbers.map((text) => (/^\d{1,15}$/.test(text) ? Number(text) : Number.NaN))];
}
