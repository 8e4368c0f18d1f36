/** Numbers of the Hubble API. */
export const L7Type = { unknown: 0, request: 1, response: 2, sample: 3 } as const;

export interface DnsMessage {
  readonly protocol: "dns";
  /** With its trailing dot. */
  readonly query: string;
  readonly ips: readonly string[];
  readonly ttl: number;
  readonly cnames: readonly string[];
  /** Who saw it: `proxy` or `agent`. */
  readonly observationSource: string;
  readonly rcode: number;
  readonly qtypes: readonly string[];
  readonly rrtypes: readonly string[];
}

export interface HttpMessage {
  readonly protocol: "http";
  /** 0: a request. */
  readonly code: number;
  readonly method: string;
  readonly url: string;
  /** `HTTP/1.1`. */
  readonly version: string;
  readonly headers: ReadonlyArray<{ readonly key: string; readonly value: string }>;
}

export interface KafkaMessage {
  readonly protocol: "kafka";
  readonly errorCode: number;
  readonly apiVersion: number;
  readonly apiKey: string;
  readonly correlationId: number;
  readonly topic: string;
}

/** What a proxy saw of one request or answer. */
export interface Layer7 {
  /** Of `L7Type`. */
  readonly type: number;
  /** From the request to this answer; 0 when not known. */
  readonly latencyNs: bigint;
  /** Of the trace that a request said it belongs to; empty for none. */
  readonly traceId: string;
  readonly message: DnsMessage | HttpMessage | KafkaMessage;
}
