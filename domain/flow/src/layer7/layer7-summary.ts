import { type DnsMessage, type HttpMessage, type KafkaMessage, L7Type, type Layer7 } from "./layer7.ts";

const rcodeNames = ["No Error", "Format Error", "Server Failure ", "Non-Existent Domain", "Not Implemented", "Query Refused"] as const;

/** `HTTP/1.1 GET http://web/`, `DNS Answer "10.0.0.1" TTL: 30 (Proxy web. A)`. Scripts read it. */
export function layer7Summary({ type, latencyNs, message }: Layer7): string {
  switch (message.protocol) {
    case "dns":
      return type === L7Type.response ? answerText(message) : `DNS Query ${message.query} ${message.qtypes.join(",")}`;
    case "http":
      return httpText(type, latencyNs, message);
    case "kafka":
      return kafkaText(type, latencyNs, message);
  }
}

function answerText({ query, ips, ttl, cnames, observationSource, rcode, qtypes }: DnsMessage): string {
  const found: string[] = [];
  if (ips.length > 0) found.push(`"${ips.join(",")}"`);
  if (cnames.length > 0) found.push(`CNAMEs: "${cnames.join(",")}"`);
  const answer = rcode === 0 ? found.join(" ") : `RCode: ${dnsRcodeName(rcode)}`;
  const source = observationSource === "proxy" ? "Proxy" : "Query";
  return `DNS Answer ${answer} TTL: ${ttl} (${source} ${query} ${qtypes.join(",")})`;
}

/** As `hubble observe` and the metrics name it. */
export function dnsRcodeName(rcode: number): string {
  return (rcodeNames[rcode] ?? String(rcode)).trimEnd();
}

function httpText(type: number, latencyNs: bigint, { code, method, url, version }: HttpMessage): string {
  if (type !== L7Type.response) return `${version} ${method} ${url}`;
  return `${version} ${code} ${milliseconds(latencyNs)}ms (${method} ${url})`;
}

function kafkaText(type: number, latencyNs: bigint, { errorCode, apiKey, correlationId, topic }: KafkaMessage): string {
  const about = `${apiKey} topic ${topic}, correlation id ${correlationId}`;
  return type === L7Type.response ? `Kafka response ${errorCode} ${milliseconds(latencyNs)}ms (${about})` : `Kafka request ${about}`;
}

function milliseconds(ns: bigint): bigint {
  return ns / 1_000_000n;
}
