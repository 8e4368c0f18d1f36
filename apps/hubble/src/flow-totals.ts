import { flowpb } from "@cilium-ts/observer";
import { endpointText, transportOf } from "./endpoint-text.ts";

export interface PairTotal {
  readonly source: string;
  readonly destination: string;
  readonly flows: number;
  readonly drops: number;
}

const pairCountMax = 10_000;

/** Flows counted by who talks to whom on which port. Answers count with their questions. Pairs beyond 10,000 are counted as one. */
export class FlowTotals {
  readonly #pairs = new Map<string, { source: string; destination: string; flows: number; drops: number }>();

  add(flow: flowpb.Flow): void {
    const { sourcePort, destinationPort, protocol } = transportOf(flow.l4);
    const [one, other] = [endpointText(flow.source, flow.IP?.source ?? ""), endpointText(flow.destination, flow.IP?.destination ?? "")];
    const turned = flow.isReply === true;
    const [client, server, port] = turned ? [other, one, sourcePort] : [one, other, destinationPort];
    const destination = `${server}${port === 0 ? "" : `:${port}`}${protocol === "" ? "" : ` ${protocol}`}`;
    const key = `${client} ${destination}`;
    const known = this.#pairs.get(key);
    const pair = known ?? this.#create(key, client, destination);
    pair.flows += 1;
    if (flow.verdict === flowpb.Verdict.DROPPED) pair.drops += 1;
  }

  /** The largest, and from here on nothing. */
  take(by: "flows" | "drops", countMax: number): PairTotal[] {
    const pairs = [...this.#pairs.values()].sort((one, other) => other[by] - one[by] || (one.source < other.source ? -1 : 1));
    this.#pairs.clear();
    return pairs.slice(0, countMax);
  }

  #create(key: string, source: string, destination: string): { source: string; destination: string; flows: number; drops: number } {
    const full = this.#pairs.size >= pairCountMax;
    const name = full ? "all others" : key;
    const found = this.#pairs.get(name);
    if (found !== undefined) return found;
    const pair = full ? { source: name, destination: "", flows: 0, drops: 0 } : { source, destination, flows: 0, drops: 0 };
    this.#pairs.set(name, pair);
    return pair;
  }
}
