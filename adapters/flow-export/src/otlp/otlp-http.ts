import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import {
  type Delivery,
  type OtlpConnection,
  type OtlpOrigin,
  type OtlpRecord,
  type OtlpTransport,
  readTls,
  rootMessage,
  type TlsTexts,
  timeoutMs,
} from "./otlp-transport.ts";

const answerBytesMax = 65_536;
/** Answers after which the same request may be taken. */
const busyStatuses: readonly number[] = [429, 502, 503, 504];

/** OTLP over HTTP in its JSON form: one POST for each batch. */
export class OtlpHttp implements OtlpTransport {
  readonly #endpoint: URL;
  readonly #connection: OtlpConnection;
  readonly #origin: OtlpOrigin;

  /** `http://collector:4318/v1/logs`, or https. */
  constructor(endpoint: string, connection: OtlpConnection, origin: OtlpOrigin) {
    this.#endpoint = new URL(endpoint);
    this.#connection = connection;
    this.#origin = origin;
  }

  async deliver(logRecords: readonly OtlpRecord[]): Promise<Delivery> {
    const { resource, scope } = this.#origin;
    const body = JSON.stringify({ resourceLogs: [{ resource: { attributes: resource }, scopeLogs: [{ scope, logRecords }] }] });
    try {
      const tls = this.#endpoint.protocol === "https:" ? await readTls(this.#connection) : {};
      const { status, text, retryAfterMs } = await post(this.#endpoint, this.#connection.headers, tls, body);
      if (status >= 200 && status < 300) return { kind: "taken", rejected: rejectedCount(text) };
      const reason = `it answers HTTP ${status}`;
      return busyStatuses.includes(status) ? { kind: "busy", reason, retryAfterMs } : { kind: "refused", reason };
    } catch (cause) {
      return { kind: "busy", reason: rootMessage(cause), retryAfterMs: 0 };
    }
  }

  [Symbol.dispose](): void {}
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

function post(url: URL, extraHeaders: OtlpConnection["headers"], tls: TlsTexts, body: string): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const headers = { ...extraHeaders, "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const request = (url.protocol === "https:" ? requestHttps : requestHttp)(
    url,
    { method: "POST", headers, timeout: timeoutMs, ...tls },
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
