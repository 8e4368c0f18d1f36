import type { EndpointResolver, FlowRing } from "@cilium-ts/flow";
import type { Emitter } from "../encoding/flow-encoder.ts";
import type { FlowHistory } from "./flow-history.ts";
import type { Line, Seats } from "./turn.ts";

/** Where encoded messages go. Resolves when more may be sent: a slow client is waited for, not buffered for. */
export interface FlowSink {
  write(messages: Uint8Array): Promise<void>;
}

export interface FlowsReaderOptions {
  readonly ring: FlowRing;
  readonly resolver: EndpointResolver;
  readonly emitter: Emitter;
  /** CLOCK_MONOTONIC. */
  readonly nowNs: () => number;
  /** What the ring no longer has. */
  readonly history?: FlowHistory;
  /** Whoever looks through history stands in this line. */
  readonly line?: Line;
  /** Of those whom the ring has overtaken and who read what they missed from history. */
  readonly seats?: Seats;
}

/** Where reading begins in the ring. */
export interface RingStart {
  readonly cursor: number;
  /** Of the first event that is not wanted. Without follow that of the moment of the request, or a slow client would never see an end. */
  readonly end: number;
  /** Flows that are still wanted. */
  readonly remaining: number;
}
