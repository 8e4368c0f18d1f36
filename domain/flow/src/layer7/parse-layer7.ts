import type { DnsMessage, HttpMessage, KafkaMessage, Layer7 } from "./layer7.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Reads what `encodeL7Record` wrote. Undefined when a field is not what it should be. */
export function parseLayer7(value: unknown): Layer7 | undefined {
  if (!isFields(value) || !isFields(value.message)) return undefined;
  const { type, latencyNs, traceId } = value;
  if (!isWhole(type) || type < 0 || typeof traceId !== "string") return undefined;
  if (typeof latencyNs !== "string" || !/^[0-9]{1,19}$/.test(latencyNs)) return undefined;
  const message = parseMessage(value.message);
  return message === undefined ? undefined : { type, latencyNs: BigInt(latencyNs), traceId, message };
}

function parseMessage(fields: Fields): Layer7["message"] | undefined {
  switch (fields.protocol) {
    case "dns":
      return parseDns(fields);
    case "http":
      return parseHttp(fields);
    case "kafka":
      return parseKafka(fields);
    default:
      return undefined;
  }
}

function parseDns({ query, ips, ttl, cnames, observationSource, rcode, qtypes, rrtypes }: Fields): DnsMessage | undefined {
  if (typeof query !== "string" || typeof observationSource !== "string" || !isUnsigned(ttl) || !isUnsigned(rcode)) return undefined;
  if (!isTexts(ips) || !isTexts(cnames) || !isTexts(qtypes) || !isTexts(rrtypes)) return undefined;
  return { protocol: "dns", query, ips, ttl, cnames, observationSource, rcode, qtypes, rrtypes };
}

function parseHttp({ code, method, url, version, headers }: Fields): HttpMessage | undefined {
  if (!isUnsigned(code) || typeof method !== "string" || typeof url !== "string" || typeof version !== "string") return undefined;
  if (!Array.isArray(headers)) return undefined;
  const list: Array<{ key: string; value: string }> = [];
  for (const header of headers as readonly unknown[]) {
    if (!isFields(header) || typeof header.key !== "string" || typeof header.value !== "string") return undefined;
    list.push({ key: header.key, value: header.value });
  }
  return { protocol: "http", code, method, url, version, headers: list };
}

function parseKafka({ errorCode, apiVersion, apiKey, correlationId, topic }: Fields): KafkaMessage | undefined {
  if (!isWhole(errorCode) || !isWhole(apiVersion) || !isWhole(correlationId)) return undefined;
  if (typeof apiKey !== "string" || typeof topic !== "string") return undefined;
  return { protocol: "kafka", errorCode, apiVersion, apiKey, correlationId, topic };
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isWhole(value: unknown): value is number {
  return Number.isInteger(value) && Math.abs(value as number) < 2 ** 31;
}

function isUnsigned(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 32;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((member) => typeof member === "string");
}
