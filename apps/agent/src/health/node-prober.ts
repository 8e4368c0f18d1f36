import { type Clock, errorMessage } from "@cilium-ts/std";

/** One address of a node, or of its health endpoint. */
export interface ProbedPath {
  /** `cluster/node`. */
  readonly nodeName: string;
  readonly type: "node" | "endpoint";
  readonly address: string;
  /** The address that counts where a node has several. */
  readonly primary: boolean;
}

export type ProbeProtocol = "icmp" | "http";

export interface ProbeOutcome {
  readonly atMs: number;
  /** Undefined: no answer. */
  readonly seconds: number | undefined;
  /** Empty: it answers. */
  readonly problem: string;
}

export type PathOutcomes = Readonly<Partial<Record<ProbeProtocol, ProbeOutcome>>>;

export interface NodeProberOptions {
  readonly clock: Clock;
  /** What there is to probe now. */
  paths(): readonly ProbedPath[];
  /** Seconds until the answer; rejects with what is wrong. */
  readonly probes: Readonly<Record<ProbeProtocol, (address: string, signal: AbortSignal) => Promise<number>>>;
  /** Between rounds in a cluster of one node, times ln(2): more nodes are asked less often. */
  readonly baseIntervalMs: number;
  /** After each probe. */
  onOutcome?(path: ProbedPath, protocol: ProbeProtocol, outcome: ProbeOutcome): void;
}

/** Probes on the way at once; the rest of a round waits. */
const underwayMax = 32;

/** Whether the nodes of the cluster and their health endpoints answer, asked again and again. */
export class NodeProber {
  readonly #options: NodeProberOptions;
  readonly #outcomes = new Map<string, PathOutcomes>();
  #round: Promise<void> | undefined;
  #lastRoundMs: number | undefined;

  constructor(options: NodeProberOptions) {
    this.#options = options;
  }

  get lastRoundMs(): number | undefined {
    return this.#lastRoundMs;
  }

  intervalMs(): number {
    const nodes = new Set(this.#options.paths().map(({ nodeName }) => nodeName)).size;
    return Math.round(this.#options.baseIntervalMs * Math.log(Math.max(1, nodes) + 1));
  }

  outcomesOf(path: ProbedPath): PathOutcomes {
    return this.#outcomes.get(keyOf(path)) ?? {};
  }

  /** Every path once. Who asks during a round gets what comes of it. */
  probe(signal: AbortSignal): Promise<void> {
    this.#round ??= this.#probeAll(signal).finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  /** Until aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.probe(signal);
      await this.#options.clock.sleep(this.intervalMs(), signal).catch(() => {}); // Rejects only on abort.
    }
  }

  async #probeAll(signal: AbortSignal): Promise<void> {
    const paths = this.#options.paths();
    const wanted = new Set(paths.map(keyOf));
    for (const key of this.#outcomes.keys()) if (!wanted.has(key)) this.#outcomes.delete(key);
    const waiting = paths.flatMap((path) => (["icmp", "http"] as const).map((protocol) => ({ path, protocol })));
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined && !signal.aborted; next = waiting.shift())
        await this.#probeOne(next.path, next.protocol, signal);
    };
    await Promise.all(Array.from({ length: underwayMax }, work));
    if (!signal.aborted) this.#lastRoundMs = this.#options.clock.nowMs();
  }

  async #probeOne(path: ProbedPath, protocol: ProbeProtocol, signal: AbortSignal): Promise<void> {
    const { clock, probes, onOutcome } = this.#options;
    let outcome: ProbeOutcome;
    try {
      const seconds = await probes[protocol](path.address, signal);
      outcome = { atMs: clock.nowMs(), seconds, problem: "" };
    } catch (cause) {
      if (signal.aborted) return;
      outcome = { atMs: clock.nowMs(), seconds: undefined, problem: errorMessage(cause) };
    }
    this.#outcomes.set(keyOf(path), { ...this.#outcomes.get(keyOf(path)), [protocol]: outcome });
    onOutcome?.(path, protocol, outcome);
  }
}

function keyOf({ nodeName, type, address }: ProbedPath): string {
  return `${nodeName} ${type} ${address}`;
}
