import { type Flow, Verdict } from "@cilium-ts/flow";
import type { Clock } from "@cilium-ts/std";
import type { LineSink } from "../line-sink.ts";
import { OtlpGrpc } from "./otlp-grpc.ts";
import { OtlpHttp } from "./otlp-http.ts";
import type { OtlpAttribute, OtlpConnection, OtlpRecord, OtlpTransport } from "./otlp-transport.ts";

export interface OtlpLogsOptions {
  /** Of the collector: `http://localhost:4318/v1/logs`, or `grpc://localhost:4317`; with an s, by TLS. */
  readonly endpoint: string;
  readonly connection: OtlpConnection;
  /** `service.name` and whatever else says who sends. */
  readonly resource: Readonly<Record<string, string>>;
  readonly scope: { readonly name: string; readonly version: string };
  readonly clock: Clock;
  /** Said once, until it is over. */
  readonly onProblem: (message: string) => void;
}

const heldCountMax = 8_192;
const batchCountMax = 512;
const gatherMs = 1_000;
const attemptsMax = 5;
const retryMsMax = 30_000;
const severity = { info: 9, warn: 13 } as const;

/** Log records by OTLP, over HTTP or gRPC. One request is under way at a time; a collector that is busy is asked again. */
export class OtlpLogs implements LineSink {
  readonly #options: OtlpLogsOptions;
  readonly #transport: OtlpTransport;
  readonly #held: OtlpRecord[] = [];
  readonly #stop = new AbortController();
  #written = 0;
  #lost = 0;
  #problem: string | undefined;
  #sending: Promise<void> | undefined;

  constructor(options: OtlpLogsOptions) {
    const { endpoint, connection, resource, scope } = options;
    const origin = { resource: Object.entries(resource).map(([key, value]) => attribute(key, value)), scope };
    this.#options = options;
    this.#transport = endpoint.startsWith("grpc") ? new OtlpGrpc(endpoint, connection, origin) : new OtlpHttp(endpoint, connection, origin);
  }

  get written(): number {
    return this.#written;
  }

  get lost(): number {
    return this.#lost;
  }

  append(line: string, flow?: Flow): void {
    if (this.#stop.signal.aborted || this.#held.length >= heldCountMax) {
      this.#lost += 1;
      return;
    }
    const nowNano = `${this.#options.clock.nowMs()}000000`;
    const isBad = flow !== undefined && (flow.verdict === Verdict.dropped || flow.verdict === Verdict.error);
    this.#held.push({
      timeUnixNano: flow === undefined ? nowNano : `${flow.time.seconds}${String(flow.time.nanos).padStart(9, "0")}`,
      observedTimeUnixNano: nowNano,
      severityNumber: flow === undefined || isBad ? severity.warn : severity.info,
      severityText: flow === undefined || isBad ? "WARN" : "INFO",
      body: { stringValue: line },
      attributes: flow === undefined ? [] : attributesOf(flow),
    });
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
  }

  /** Tries once more to send what is held. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    while (this.#sending !== undefined) await this.#sending;
    this.#transport[Symbol.dispose]();
  }

  async #send(): Promise<void> {
    while (this.#held.length > 0) {
      if (this.#held.length < batchCountMax) await this.#pause(gatherMs);
      const batch = this.#held.splice(0, batchCountMax);
      const rejected = await this.#deliver(batch);
      this.#lost += rejected;
      this.#written += batch.length - rejected;
    }
  }

  /** How many of them were not taken. */
  async #deliver(batch: readonly OtlpRecord[]): Promise<number> {
    for (let attempt = 1; ; attempt += 1) {
      const delivery = await this.#transport.deliver(batch);
      if (delivery.kind === "taken") {
        this.#problem = undefined;
        return Math.min(batch.length, delivery.rejected);
      }
      this.#say(delivery.reason);
      if (delivery.kind === "refused" || attempt === attemptsMax || this.#stop.signal.aborted) return batch.length;
      await this.#pause(Math.min(retryMsMax, Math.max(delivery.retryAfterMs, gatherMs * 2 ** (attempt - 1))));
    }
  }

  #say(problem: string): void {
    if (problem !== this.#problem)
      this.#options.onProblem(
        `flows cannot be sent to the collector at ${this.#options.endpoint}: ${problem}; what it does not take is counted`,
      );
    this.#problem = problem;
  }

  async #pause(delayMs: number): Promise<void> {
    await this.#options.clock.sleep(delayMs, this.#stop.signal).catch(() => {}); // Rejects only on abort.
  }
}

/** What collectors select by; everything else is in the body. */
function attributesOf({ verdict, source, destination, eventType }: Flow): OtlpAttribute[] {
  const attributes = [
    attribute("event.name", "hubble.flow"),
    attribute("hubble.verdict", String(verdict)),
    attribute("hubble.event_type", String(eventType.type)),
  ];
  for (const [side, endpoint] of [
    ["source", source],
    ["destination", destination],
  ] as const) {
    if (endpoint === undefined) continue;
    if (endpoint.namespace !== "") attributes.push(attribute(`${side}.namespace`, endpoint.namespace));
    if (endpoint.podName !== "") attributes.push(attribute(`${side}.pod`, endpoint.podName));
  }
  return attributes;
}

function attribute(key: string, value: string): OtlpAttribute {
  return { key, value: { stringValue: value } };
}
