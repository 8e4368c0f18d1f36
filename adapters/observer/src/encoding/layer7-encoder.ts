import type { Layer7 } from "@cilium-ts/flow";
import type { FieldMask } from "../filters/field-mask.ts";
import type { BackwardWriter } from "./backward-writer.ts";

type Message<Protocol extends Layer7["message"]["protocol"]> = Extract<Layer7["message"], { protocol: Protocol }>;

/** Field numbers of Layer7, by member of the oneof. */
const recordFields = { dns: 100, http: 101, kafka: 102 } as const;

/** Writes the fields of a Layer7, in falling order. */
export function writeLayer7(writer: BackwardWriter, mask: FieldMask, layer7: Layer7): void {
  const { message } = layer7;
  const inner = mask.of(message.protocol);
  if (inner !== undefined) {
    const before = writer.size;
    if (message.protocol === "dns") writeDns(writer, inner, message);
    else if (message.protocol === "http") writeHttp(writer, inner, message);
    else writeKafka(writer, inner, message);
    writer.message(recordFields[message.protocol], before);
  }
  if (mask.has("latency_ns")) writer.uint64(2, layer7.latencyNs);
  if (mask.has("type")) writer.uint(1, layer7.type);
}

function writeDns(writer: BackwardWriter, mask: FieldMask, message: Message<"dns">): void {
  if (mask.has("rrtypes")) writer.strings(8, message.rrtypes);
  if (mask.has("qtypes")) writer.strings(7, message.qtypes);
  if (mask.has("rcode")) writer.uint(6, message.rcode);
  if (mask.has("observation_source")) writer.string(5, message.observationSource);
  if (mask.has("cnames")) writer.strings(4, message.cnames);
  if (mask.has("ttl")) writer.uint(3, message.ttl);
  if (mask.has("ips")) writer.strings(2, message.ips);
  if (mask.has("query")) writer.string(1, message.query);
}

function writeHttp(writer: BackwardWriter, mask: FieldMask, message: Message<"http">): void {
  if (mask.has("headers")) {
    for (const { key, value } of message.headers.toReversed()) {
      const before = writer.size;
      writer.string(2, value);
      writer.string(1, key);
      writer.message(5, before);
    }
  }
  if (mask.has("protocol")) writer.string(4, message.version);
  if (mask.has("url")) writer.string(3, message.url);
  if (mask.has("method")) writer.string(2, message.method);
  if (mask.has("code")) writer.uint(1, message.code);
}

function writeKafka(writer: BackwardWriter, mask: FieldMask, message: Message<"kafka">): void {
  if (mask.has("topic")) writer.string(5, message.topic);
  if (mask.has("correlation_id")) writer.int32(4, message.correlationId);
  if (mask.has("api_key")) writer.string(3, message.apiKey);
  if (mask.has("api_version")) writer.int32(2, message.apiVersion);
  if (mask.has("error_code")) writer.int32(1, message.errorCode);
}
