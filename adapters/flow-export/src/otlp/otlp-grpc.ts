import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { compressionGzip, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { RetryInfoSchema } from "../gen/google/rpc/retry_pb.js";
import type { KeyValueSchema } from "../gen/opentelemetry/attributes_pb.js";
import type { LogRecordSchema } from "../gen/opentelemetry/logs_pb.js";
import { LogsService } from "../gen/opentelemetry/logs_service_pb.js";
import {
  type Delivery,
  type OtlpAttribute,
  type OtlpConnection,
  type OtlpOrigin,
  type OtlpRecord,
  type OtlpTransport,
  readTls,
  rootMessage,
  timeoutMs,
} from "./otlp-transport.ts";

/** Statuses after which the protocol lets the same request be sent again; ResourceExhausted only where the collector says when. */
const busyCodes: ReadonlySet<Code> = new Set([
  Code.Canceled,
  Code.DeadlineExceeded,
  Code.Aborted,
  Code.OutOfRange,
  Code.Unavailable,
  Code.DataLoss,
]);
const idleMs = 300_000;

interface Connected {
  /** The certificates that it was opened with. */
  readonly tlsKey: string;
  readonly session: Http2SessionManager;
  readonly client: Client<typeof LogsService>;
}

/** OTLP over gRPC: one call for each batch, on one connection that is opened when it is needed. */
export class OtlpGrpc implements OtlpTransport {
  readonly #baseUrl: string;
  readonly #connection: OtlpConnection;
  readonly #origin: OtlpOrigin;
  #connected: Connected | undefined;

  /** `grpc://collector:4317`, or `grpcs://collector:4317` by TLS. */
  constructor(endpoint: string, connection: OtlpConnection, origin: OtlpOrigin) {
    this.#baseUrl = endpoint.replace(/^grpc/, "http");
    this.#connection = connection;
    this.#origin = origin;
  }

  async deliver(records: readonly OtlpRecord[]): Promise<Delivery> {
    const { resource, scope } = this.#origin;
    try {
      const { client } = await this.#connect();
      const scopeLogs = [{ scope, logRecords: records.map(logRecord) }];
      const resourceLogs = [{ resource: { attributes: resource.map(keyValue) }, scopeLogs }];
      const { partialSuccess } = await client.export({ resourceLogs }, { timeoutMs, headers: this.#connection.headers });
      return { kind: "taken", rejected: Number(partialSuccess?.rejectedLogRecords ?? 0n) };
    } catch (cause) {
      return deliveryOf(cause);
    }
  }

  [Symbol.dispose](): void {
    this.#connected?.session.abort();
    this.#connected = undefined;
  }

  /** Certificates that were replaced are used from the next connection on, which is then opened at once. */
  async #connect(): Promise<Connected> {
    const tls = this.#baseUrl.startsWith("https:") ? await readTls(this.#connection) : {};
    const tlsKey = JSON.stringify(tls);
    if (this.#connected?.tlsKey === tlsKey) return this.#connected;
    this.#connected?.session.abort();
    const session = new Http2SessionManager(this.#baseUrl, { idleConnectionTimeoutMs: idleMs }, tls);
    const transport = createGrpcTransport({ baseUrl: this.#baseUrl, sessionManager: session, sendCompression: compressionGzip });
    this.#connected = { tlsKey, session, client: createClient(LogsService, transport) };
    return this.#connected;
  }
}

function deliveryOf(cause: unknown): Delivery {
  if (!(cause instanceof ConnectError)) return { kind: "busy", reason: rootMessage(cause), retryAfterMs: 0 };
  const delay = cause.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const reason = cause.cause instanceof Error ? rootMessage(cause) : `it answers ${Code[cause.code]}: ${cause.rawMessage}`;
  if (busyCodes.has(cause.code) || (cause.code === Code.ResourceExhausted && delay !== undefined))
    return { kind: "busy", reason, retryAfterMs: delay === undefined ? 0 : durationMs(delay) };
  return { kind: "refused", reason };
}

function logRecord(record: OtlpRecord): MessageInitShape<typeof LogRecordSchema> {
  return {
    timeUnixNano: BigInt(record.timeUnixNano),
    observedTimeUnixNano: BigInt(record.observedTimeUnixNano),
    severityNumber: record.severityNumber,
    severityText: record.severityText,
    body: anyValue(record.body.stringValue),
    attributes: record.attributes.map(keyValue),
  };
}

function keyValue({ key, value }: OtlpAttribute): MessageInitShape<typeof KeyValueSchema> {
  return { key, value: anyValue(value.stringValue) };
}

function anyValue(text: string) {
  return { value: { case: "stringValue" as const, value: text } };
}
