import type { DescEnum } from "@bufbuild/protobuf";
import type { Layer7 } from "@cilium-ts/flow";
import type { FieldMask } from "../filters/field-mask.ts";
import { L7FlowTypeSchema } from "../gen/flow/flow_pb.js";
import { JsonFields } from "./json-fields.ts";

type Message<Protocol extends Layer7["message"]["protocol"]> = Extract<Layer7["message"], { protocol: Protocol }>;

export function layer7Json(mask: FieldMask, { type, latencyNs, message }: Layer7): string {
  const fields = new JsonFields();
  const name = (L7FlowTypeSchema as DescEnum).value[type]?.name;
  if (mask.has("type") && type !== 0) fields.json("type", name === undefined ? String(type) : `"${name}"`);
  if (mask.has("latency_ns")) fields.big("latency_ns", latencyNs);
  const inner = mask.of(message.protocol);
  if (inner !== undefined) fields.json(message.protocol, messageJson(inner, message));
  return fields.object();
}

function messageJson(mask: FieldMask, message: Layer7["message"]): string {
  switch (message.protocol) {
    case "dns":
      return dnsJson(mask, message);
    case "http":
      return httpJson(mask, message);
    case "kafka":
      return kafkaJson(mask, message);
  }
}

function dnsJson(mask: FieldMask, message: Message<"dns">): string {
  const fields = new JsonFields();
  if (mask.has("query")) fields.text("query", message.query);
  if (mask.has("ips")) fields.texts("ips", message.ips);
  if (mask.has("ttl")) fields.number("ttl", message.ttl);
  if (mask.has("cnames")) fields.texts("cnames", message.cnames);
  if (mask.has("observation_source")) fields.text("observation_source", message.observationSource);
  if (mask.has("rcode")) fields.number("rcode", message.rcode);
  if (mask.has("qtypes")) fields.texts("qtypes", message.qtypes);
  if (mask.has("rrtypes")) fields.texts("rrtypes", message.rrtypes);
  return fields.object();
}

function httpJson(mask: FieldMask, message: Message<"http">): string {
  const fields = new JsonFields();
  if (mask.has("code")) fields.number("code", message.code);
  if (mask.has("method")) fields.text("method", message.method);
  if (mask.has("url")) fields.text("url", message.url);
  if (mask.has("protocol")) fields.text("protocol", message.version);
  if (mask.has("headers") && message.headers.length > 0) {
    const headers = message.headers.map(({ key, value }) => {
      const header = new JsonFields();
      header.text("key", key);
      header.text("value", value);
      return header.object();
    });
    fields.json("headers", `[${headers.join(",")}]`);
  }
  return fields.object();
}

function kafkaJson(mask: FieldMask, message: Message<"kafka">): string {
  const fields = new JsonFields();
  if (mask.has("error_code")) fields.number("error_code", message.errorCode);
  if (mask.has("api_version")) fields.number("api_version", message.apiVersion);
  if (mask.has("api_key")) fields.text("api_key", message.apiKey);
  if (mask.has("correlation_id")) fields.number("correlation_id", message.correlationId);
  if (mask.has("topic")) fields.text("topic", message.topic);
  return fields.object();
}
