import type { ElectionState } from "@cilium-ts/kubernetes";
import { errorMessage } from "@cilium-ts/std";

/** Whether the operator can do its work, for whoever would restart it. */
export class Health {
  readonly #monotonicMs: () => number;
  readonly #patienceMs: number;
  #state: ElectionState | undefined;
  #leader = "";
  /** When the API server was last known to answer. */
  #answeredAtMs: number;

  /** The API server may be silent for `patienceMs` before that counts. */
  constructor(monotonicMs: () => number, patienceMs: number) {
    this.#monotonicMs = monotonicMs;
    this.#patienceMs = patienceMs;
    this.#answeredAtMs = monotonicMs();
  }

  /** True when this is another kind of state than before. */
  tell(state: ElectionState): boolean {
    const isNews = state.kind !== this.#state?.kind || (state.kind === "following" && state.leader !== this.#leader);
    this.#state = state;
    if (state.kind === "following") this.#leader = state.leader;
    if (state.kind !== "failing") this.#answeredAtMs = this.#monotonicMs();
    return isNews;
  }

  /** Undefined when all is well; otherwise what is wrong, as a sentence. */
  problem(): string | undefined {
    if (this.#state?.kind !== "failing" || this.#monotonicMs() - this.#answeredAtMs < this.#patienceMs) return undefined;
    return `the lease cannot be read or written: ${errorMessage(this.#state.failure)}`;
  }
}
