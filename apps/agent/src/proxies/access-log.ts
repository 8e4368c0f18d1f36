import { encodeL7Record, type FlowRing, type L7Record, L7Type, LostEventSource, TrafficDirection, Verdict } from "@cilium-ts/flow";

/** What a proxy did with the messages of one direction of speech. */
export interface MessageCounts {
  received: number;
  forwarded: number;
  denied: number;
  error: number;
}

/** What a proxy saw of an endpoint on one port. */
export interface ProxyCounts {
  /** `http`, `dns`, `kafka`. */
  readonly protocol: string;
  readonly port: number;
  readonly direction: "ingress" | "egress";
  readonly proxyPort: number;
  readonly requests: MessageCounts;
  readonly responses: MessageCounts;
}

export interface AccessLogOptions {
  readonly ring: Pick<FlowRing, "appendRecord" | "appendLost">;
  /** CLOCK_MONOTONIC. */
  nowNs(): number;
}

/** So that a pod that asks without end costs neither the node nor the flows of others. */
export const recordsPerSecondMax = 20_000;
/** Ports of an endpoint that are counted apart; what comes on others is flows and no count. */
export const countedPortsMax = 64;

/** Takes what proxies saw into the node's flows. */
export class AccessLog {
  readonly #options: AccessLogOptions;
  readonly #counts = new Map<number, Map<string, ProxyCounts>>();
  #second = 0;
  #inSecond = 0;
  #untold = 0;
  #refused = 0;

  constructor(options: AccessLogOptions) {
    this.#options = options;
  }

  /** Records that were one too many in their second. Each is also noted as lost among the flows. */
  get refused(): number {
    return this.#refused;
  }

  write(record: L7Record): void {
    this.#count(record);
    const second = Math.floor(this.#options.nowNs() / 1e9);
    if (second !== this.#second) {
      this.settle();
      this.#second = second;
      this.#inSecond = 0;
    }
    if (this.#inSecond >= recordsPerSecondMax) {
      this.#untold += 1;
      this.#refused += 1;
      return;
    }
    this.#inSecond += 1;
    this.#options.ring.appendRecord(encodeL7Record(record));
  }

  /** Notes losses that are not noted yet: without it that waits for the next record. */
  settle(): void {
    if (this.#untold === 0) return;
    this.#options.ring.appendLost(LostEventSource.observerEventsQueue, this.#untold, this.#options.nowNs());
    this.#untold = 0;
  }

  countsOf(endpointId: number): ProxyCounts[] {
    return [...(this.#counts.get(endpointId)?.values() ?? [])];
  }

  /** The endpoint is gone. */
  forget(endpointId: number): void {
    this.#counts.delete(endpointId);
  }

  #count({ reporter, direction, layer7, server, proxyPort, verdict }: L7Record): void {
    let ports = this.#counts.get(reporter);
    if (ports === undefined) {
      ports = new Map();
      this.#counts.set(reporter, ports);
    }
    const { protocol } = layer7.message;
    const way = direction === TrafficDirection.ingress ? "ingress" : "egress";
    const key = `${protocol} ${way} ${server.port}`;
    let counts = ports.get(key);
    if (counts === undefined) {
      if (ports.size >= countedPortsMax) return;
      counts = { protocol, port: server.port, direction: way, proxyPort, requests: noMessages(), responses: noMessages() };
      ports.set(key, counts);
    }
    const messages = layer7.type === L7Type.response ? counts.responses : counts.requests;
    messages.received += 1;
    if (verdict === Verdict.dropped) messages.denied += 1;
    else if (verdict === Verdict.error) messages.error += 1;
    else messages.forwarded += 1;
  }
}

function noMessages(): MessageCounts {
  return { received: 0, forwarded: 0, denied: 0, error: 0 };
}
