import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { type Flow, Verdict } from "@cilium-ts/flow";
import { type Clock, errorMessage } from "@cilium-ts/std";
import type { LineSink } from "./line-sink.ts";

export interface OtlpLogsOptions {
  /** Of the collector: `http://localhost:4318/v1/logs`. */
  readonly endpoint: string;
  /** `service.name` and whatever else says who sends. */
  readonly resource: Readonly<Record<string, string>>;
  readonly scope: { readonly name: string; readonly version: string };
  readonly clock: Clock;
  /** Said once, until it is over. */
  readonly onProblem: (message: string) => void;
}

interface OtlpRecord {
  readonly timeUnixNano: string;
  readonly observedTimeUnixNano: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: { readonly stringValue: string };
  readonly attributes: readonly Attribute[];
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue: string };
}

const heldCountMax = 8_192;
const batchCountMax = 512;
const gatherMs = 1_000;
const timeoutMs = 10_000;
const attemptsMax = 5;
const retryMsMax = 30_000;
const answerBytesMax = 65_536;
const severity = { info: 9, warn: 13 } as const;

/** Log records by OTLP over HTTP in its JSON form. One request is under way at a time; a collector that is busy is asked again. */
export class OtlpLogs implements LineSink {
  readonly #options: OtlpLogsOptions;
  readonly #held: OtlpRecord[] = [];
  readonly #stop = new AbortController();
  #written = 0;
  #lost = 0;
  #problem: string | undefined;
  #sending: Promise<void> | undefined;

  constructor(options: OtlpLogsOptions) {
    this.#options = options;
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
    const body = JSON.stringify(this.#message(batch));
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await post(this.#options.endpoint, body).catch((cause: unknown) => ({
        status: 0,
        text: errorMessage(cause),
        retryAfterMs: 0,
      }));
      if (outcome.status >= 200 && outcome.status < 300) {
        this.#problem = undefined;
        return rejectedCount(outcome.text);
      }
      this.#say(outcome.status === 0 ? outcome.text : `it answers HTTP ${outcome.status}`);
      const mayRecover = outcome.status === 0 || [429, 502, 503, 504].includes(outcome.status);
      if (!mayRecover || attempt === attemptsMax || this.#stop.signal.aborted) return batch.length;
      await this.#pause(Math.min(retryMsMax, Math.max(outcome.retryAfterMs, gatherMs * 2 ** (attempt - 1))));
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

  #message(logRecords: readonly OtlpRecord[]): object {
    const { resource, scope } = this.#options;
    return {
      resourceLogs: [
        {
          resource: { attributes: Object.entries(resource).map(([key, value]) => attribute(key, value)) },
          scopeLogs: [{ scope, logRecords }],
        },
      ],
    };
  }
}

/** What collectors select by; everything else is in the body. */
function attributesOf({ verdict, source, destination, eventType }: Flow): Attribute[] {
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

function attribute(key: string, value: string): Attribute {
  return { key, value: { stringValue: value } };
}

/** Of an answer that took only a part; anything else took all. */
function rejectedCount(text: string): number {
  try {
    const { partialSuccess } = JSON.parse(text) as { readonly partialSuccess?: { readonly rejectedLogRecords?: string | number } };
    return Number(partialSuccess?.rejectedLogRecords ?? 0) || 0;
  } catch {
    return 0;
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly retryAfterMs: number;
}

function post(endpoint: string, body: string): Promise<Answer> {
  const url = new URL(endpoint);
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const request = (url.protocol === "https:" ? requestHttps : requestHttp)(
    url,
    { method: "POST", headers, timeout: timeoutMs },
    (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        if (text.length < answerBytesMax) text += part;
      });
      response.on("error", reject);
      response.on("end", () => {
        const seconds = Number(response.headers["retry-after"]);
        resolve({ status: response.statusCode ?? 0, text, retryAfterMs: seconds > 0 ? seconds * 1_000 : 0 });
      });
    },
  );
  request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
  request.on("error", reject);
  request.end(body);
  return promise;
}
