import { type EventView, type Flow, type FlowEndpoint, TrafficDirection, Verdict } from "@cilium-ts/flow";
import { type FlowConsumer, flowpb } from "@cilium-ts/observer";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { DropEventSettings } from "./hubble-settings.ts";

/** What is written of a drop: a Kubernetes event of a pod. */
export interface DropEvent {
  readonly namespace: string;
  readonly podName: string;
  readonly podUid: string;
  readonly message: string;
}

export interface DropEventsOptions extends DropEventSettings {
  readonly clock: Clock;
  /** The pod's uid where the pod is of this node and known. */
  readonly uidOf: (namespace: string, podName: string) => string;
  readonly write: (event: DropEvent) => Promise<void>;
  /** Said once, until it is over. */
  readonly onProblem: (message: string) => void;
}

const knownCountMax = 10_000;
const waitingCountMax = 100;

/** Tells pods of this node, as Kubernetes events, that their packets were dropped: the same drop once an interval. */
export class DropEvents implements FlowConsumer {
  readonly #options: DropEventsOptions;
  readonly #reasons: ReadonlySet<number>;
  /** When the same drop may be told again. */
  readonly #quietUntilMs = new Map<string, number>();
  readonly #waiting: DropEvent[] = [];
  #writing = false;
  #refused = 0;
  #problem = "";

  constructor(options: DropEventsOptions) {
    this.#options = options;
    this.#reasons = new Set(
      Object.entries(flowpb.DropReason).flatMap(([name, code]) =>
        typeof code === "number" && options.reasons.includes(name.toLowerCase()) ? [code] : [],
      ),
    );
  }

  /** Drops that were not told, because too many were to be. */
  get refused(): number {
    return this.#refused;
  }

  wants(event: EventView): boolean {
    return event.verdict === Verdict.dropped && this.#reasons.has(event.dropReason);
  }

  consume(flow: Flow): void {
    const egress = flow.trafficDirection === TrafficDirection.egress;
    const [own, other] = egress ? [flow.source, flow.destination] : [flow.destination, flow.source];
    if (own === undefined || own.id === 0 || own.podName === "") return;
    const address = (egress ? flow.ip?.destination : flow.ip?.source) ?? "";
    const reason = (flowpb.DropReason[flow.dropReason] ?? String(flow.dropReason)).toLowerCase();
    const port = flow.l4 !== undefined && "destinationPort" in flow.l4 ? ` ${flow.l4.protocol}/${flow.l4.destinationPort}` : "";
    const where = egress ? `Outgoing packet dropped (${reason}) to ` : `Incoming packet dropped (${reason}) from `;
    const message = `${where}${partyText(other, address)}${port}`;
    if (!this.#isDue(`${own.namespace}/${own.podName} ${message}`)) return;
    if (this.#waiting.length >= waitingCountMax) {
      this.#refused += 1;
      return;
    }
    const { namespace, podName } = own;
    this.#waiting.push({ namespace, podName, podUid: this.#options.uidOf(namespace, podName), message });
    void this.#writeAll();
  }

  noteLoss(): void {}

  #isDue(key: string): boolean {
    const { clock, intervalMs } = this.#options;
    const nowMs = clock.nowMs();
    if ((this.#quietUntilMs.get(key) ?? 0) > nowMs) return false;
    // In the order of their time: those in front are over first.
    for (const [known, untilMs] of this.#quietUntilMs) {
      if (untilMs > nowMs && this.#quietUntilMs.size < knownCountMax) break;
      this.#quietUntilMs.delete(known);
    }
    this.#quietUntilMs.delete(key);
    this.#quietUntilMs.set(key, nowMs + intervalMs);
    return true;
  }

  async #writeAll(): Promise<void> {
    if (this.#writing) return;
    this.#writing = true;
    for (let event = this.#waiting.shift(); event !== undefined; event = this.#waiting.shift()) {
      try {
        await this.#options.write(event);
        this.#problem = "";
      } catch (cause) {
        const problem = errorMessage(cause);
        if (problem !== this.#problem) this.#options.onProblem(`drops cannot be told as Kubernetes events: ${problem}`);
        this.#problem = problem;
        this.#refused += 1;
      }
    }
    this.#writing = false;
  }
}

function partyText(party: FlowEndpoint | undefined, address: string): string {
  if (party !== undefined && party.podName !== "") return `${party.namespace}/${party.podName} (${address})`;
  const reserved = party?.labels.find((label) => label.startsWith("reserved:"));
  return reserved === undefined ? address : `${reserved.slice("reserved:".length)} (${address})`;
}
