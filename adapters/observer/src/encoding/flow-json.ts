import type { DescEnum } from "@bufbuild/protobuf";
import {
  type Flow,
  type FlowEndpoint,
  type FlowIP,
  type FlowPolicy,
  type FlowService,
  type FlowTime,
  type Layer4,
  TcpFlag,
} from "@cilium-ts/flow";
import { FieldMask } from "../filters/field-mask.ts";
import {
  AuthTypeSchema,
  DebugCapturePointSchema,
  DropReasonSchema,
  FlowTypeSchema,
  IPVersionSchema,
  LostEventSourceSchema,
  SocketTranslationPointSchema,
  TraceObservationPointSchema,
  TraceReasonSchema,
  TrafficDirectionSchema,
  Tunnel_ProtocolSchema,
  VerdictSchema,
} from "../gen/flow/flow_pb.js";
import type { Emitter } from "./flow-encoder.ts";
import { JsonFields, quote } from "./json-fields.ts";
import { layer7Json } from "./layer7-json.ts";

const tcpFlagNames = [
  ["FIN", TcpFlag.fin],
  ["SYN", TcpFlag.syn],
  ["RST", TcpFlag.rst],
  ["PSH", TcpFlag.psh],
  ["ACK", TcpFlag.ack],
  ["URG", TcpFlag.urg],
  ["ECE", TcpFlag.ece],
  ["CWR", TcpFlag.cwr],
  ["NS", TcpFlag.ns],
] as const;

/**
 * Writes flows as lines of JSON: ExportEvent in the JSON form of protobuf, with the field names of the .proto files. By hand, because the
 * library takes ten times as long; a test holds it to what the library makes. One writer serves one output: what is made of endpoints and
 * policies is kept, for the output's field mask.
 */
export class FlowJson {
  readonly #mask: FieldMask;
  /** Empty when the mask leaves it out. */
  readonly #emitter: string;
  readonly #endpoints = { source: new WeakMap<FlowEndpoint, string>(), destination: new WeakMap<FlowEndpoint, string>() };
  readonly #policies = new WeakMap<FlowPolicy, string>();
  /** Flows come many in a second. */
  #second = { seconds: Number.NaN, text: "" };
  readonly #lists = new WeakMap<readonly string[], string>();

  constructor(options: { readonly mask?: FieldMask; readonly emitter: Emitter }) {
    this.#mask = options.mask ?? FieldMask.everything;
    this.#emitter = emitterJson(options.emitter, this.#mask.of("emitter"));
  }

  /** One line, without its end. `extra` are further fields of the flow, as JSON. */
  flowLine(flow: Flow, extra = ""): string {
    const mask = this.#mask;
    const line = new JsonFields();
    const fields = new JsonFields();
    const time = mask.has("time") ? this.#time(flow.time) : "";
    fields.json("time", time);
    this.#heading(fields, flow);
    this.#layers(fields, flow);
    this.#parties(fields, flow);
    this.#verdictDetails(fields, flow);
    this.#policyFields(fields, flow);
    fields.json("", extra);
    line.json("flow", fields.object());
    if (mask.has("node_name")) line.text("node_name", flow.nodeName);
    line.json("time", time);
    return line.object();
  }

  /** Neither filtered nor masked. */
  lostLine(source: number, count: number, nodeName: string, time: FlowTime): string {
    const lost = new JsonFields();
    lost.json("source", enumName(LostEventSourceSchema, source));
    lost.json("num_events_lost", `"${count}"`);
    const line = new JsonFields();
    line.json("lost_events", lost.object());
    line.text("node_name", nodeName);
    line.json("time", this.#time(time));
    return line.object();
  }

  /** RFC 3339 with as many digits as it takes: none, three, six or nine. */
  #time({ seconds, nanos }: FlowTime): string {
    if (seconds !== this.#second.seconds) this.#second = { seconds, text: new Date(seconds * 1_000).toISOString().slice(0, 19) };
    const digits = String(nanos).padStart(9, "0");
    const fraction = nanos === 0 ? "" : nanos % 1_000_000 === 0 ? digits.slice(0, 3) : nanos % 1_000 === 0 ? digits.slice(0, 6) : digits;
    return `"${this.#second.text}${fraction === "" ? "" : `.${fraction}`}Z"`;
  }

  #heading(fields: JsonFields, flow: Flow): void {
    const mask = this.#mask;
    if (mask.has("uuid")) fields.text("uuid", flow.uuid);
    fields.json("emitter", this.#emitter);
    if (mask.has("verdict")) fields.json("verdict", enumName(VerdictSchema, flow.verdict));
    if (mask.has("drop_reason")) fields.number("drop_reason", flow.dropReason);
    if (mask.has("auth_type")) fields.json("auth_type", enumName(AuthTypeSchema, flow.authType));
    if (mask.has("Type")) fields.json("Type", enumName(FlowTypeSchema, flow.type));
    if (mask.has("node_name")) fields.text("node_name", flow.nodeName);
    if (flow.nodeLabels.length > 0 && mask.has("node_labels")) fields.json("node_labels", kept(this.#lists, flow.nodeLabels, textsJson));
  }

  #layers(fields: JsonFields, flow: Flow): void {
    const mask = this.#mask;
    const ethernet = mask.of("ethernet");
    if (ethernet !== undefined && flow.ethernet !== undefined) {
      const inner = new JsonFields();
      if (ethernet.has("source")) inner.text("source", flow.ethernet.source);
      if (ethernet.has("destination")) inner.text("destination", flow.ethernet.destination);
      fields.json("ethernet", inner.object());
    }
    ipField(fields, mask.of("IP"), flow.ip);
    layer4Field(fields, mask.of("l4"), flow.l4);
    const l7 = flow.layer7 === undefined ? undefined : mask.of("l7");
    if (l7 !== undefined && flow.layer7 !== undefined) fields.json("l7", layer7Json(l7, flow.layer7));
    const tunnel = mask.of("tunnel");
    if (tunnel === undefined || flow.tunnel === undefined) return;
    const inner = new JsonFields();
    if (tunnel.has("protocol")) inner.json("protocol", enumName(Tunnel_ProtocolSchema, flow.tunnel.protocol));
    ipField(inner, tunnel.of("IP"), flow.tunnel.ip);
    layer4Field(inner, tunnel.of("l4"), flow.tunnel.l4);
    fields.json("tunnel", inner.object());
  }

  #parties(fields: JsonFields, flow: Flow): void {
    const mask = this.#mask;
    this.#endpoint(fields, "source", flow.source);
    this.#endpoint(fields, "destination", flow.destination);
    if (mask.has("source_names")) fields.texts("source_names", flow.sourceNames);
    if (mask.has("destination_names")) fields.texts("destination_names", flow.destinationNames);
    serviceField(fields, "source_service", mask.of("source_service"), flow.sourceService);
    serviceField(fields, "destination_service", mask.of("destination_service"), flow.destinationService);
  }

  #verdictDetails(fields: JsonFields, flow: Flow): void {
    const mask = this.#mask;
    if (mask.has("reply") && flow.isReply === true) fields.json("reply", "true");
    const eventType = mask.of("event_type");
    if (eventType !== undefined) {
      const inner = new JsonFields();
      if (eventType.has("type")) inner.number("type", flow.eventType.type);
      if (eventType.has("sub_type")) inner.number("sub_type", flow.eventType.subType);
      fields.json("event_type", inner.object());
    }
    if (mask.has("traffic_direction")) fields.json("traffic_direction", enumName(TrafficDirectionSchema, flow.trafficDirection));
    if (mask.has("policy_match_type")) fields.number("policy_match_type", flow.policyMatchType);
    if (mask.has("trace_observation_point"))
      fields.json("trace_observation_point", enumName(TraceObservationPointSchema, flow.traceObservationPoint));
    if (mask.has("trace_reason")) fields.json("trace_reason", enumName(TraceReasonSchema, flow.traceReason));
    if (mask.has("drop_reason_desc")) fields.json("drop_reason_desc", enumName(DropReasonSchema, flow.dropReason));
    if (mask.has("is_reply") && flow.isReply !== undefined) fields.json("is_reply", String(flow.isReply));
    if (mask.has("debug_capture_point")) fields.json("debug_capture_point", enumName(DebugCapturePointSchema, flow.debugCapturePoint));
    this.#places(fields, flow);
    if (mask.has("proxy_port")) fields.number("proxy_port", flow.proxyPort);
    if (mask.has("sock_xlate_point")) fields.json("sock_xlate_point", enumName(SocketTranslationPointSchema, flow.sockXlatePoint));
    if (mask.has("socket_cookie")) fields.big("socket_cookie", flow.socketCookie);
    if (mask.has("cgroup_id")) fields.big("cgroup_id", flow.cgroupId);
    if (mask.has("Summary")) fields.text("Summary", flow.summary);
  }

  /** Where in the node, in its code and in a trace it was. */
  #places(fields: JsonFields, flow: Flow): void {
    const mask = this.#mask;
    const device = mask.of("interface");
    if (device !== undefined && flow.interface !== undefined) {
      const inner = new JsonFields();
      if (device.has("index")) inner.number("index", flow.interface.index);
      if (device.has("name")) inner.text("name", flow.interface.name);
      fields.json("interface", inner.object());
    }
    const file = mask.of("file");
    if (file !== undefined && flow.file !== undefined) {
      const inner = new JsonFields();
      if (file.has("name")) inner.text("name", flow.file.name);
      if (file.has("line")) inner.number("line", flow.file.line);
      fields.json("file", inner.object());
    }
    const ipTrace = mask.of("ip_trace_id");
    if (ipTrace !== undefined && flow.ipTraceId !== 0n) {
      const inner = new JsonFields();
      if (ipTrace.has("trace_id")) inner.big("trace_id", flow.ipTraceId);
      if (ipTrace.has("ip_option_type")) inner.number("ip_option_type", flow.ipTraceOption);
      fields.json("ip_trace_id", inner.object());
    }
    const trace = mask.of("trace_context");
    const traceId = flow.layer7?.traceId ?? "";
    if (trace === undefined || traceId === "") return;
    const parent = trace.of("parent");
    fields.json(
      "trace_context",
      parent === undefined ? "{}" : `{"parent":{${parent.has("trace_id") ? `"trace_id":${quote(traceId)}` : ""}}}`,
    );
  }

  #policyFields(fields: JsonFields, flow: Flow): void {
    this.#policyList(fields, "egress_allowed_by", flow.egressAllowedBy);
    this.#policyList(fields, "ingress_allowed_by", flow.ingressAllowedBy);
    this.#policyList(fields, "egress_denied_by", flow.egressDeniedBy);
    this.#policyList(fields, "ingress_denied_by", flow.ingressDeniedBy);
    if (this.#mask.has("policy_log")) fields.texts("policy_log", flow.policyLog);
  }

  #policyList(fields: JsonFields, name: string, policies: readonly FlowPolicy[]): void {
    if (policies.length === 0 || !this.#mask.has(name)) return;
    fields.json(name, `[${policies.map((policy) => kept(this.#policies, policy, policyJson)).join(",")}]`);
  }

  #endpoint(fields: JsonFields, name: "source" | "destination", endpoint: FlowEndpoint | undefined): void {
    const mask = this.#mask.of(name);
    if (mask === undefined || endpoint === undefined) return;
    fields.json(
      name,
      kept(this.#endpoints[name], endpoint, (one) => endpointJson(one, mask)),
    );
  }
}

function emitterJson({ name, version }: Emitter, mask: FieldMask | undefined): string {
  if (mask === undefined) return "";
  const fields = new JsonFields();
  if (mask.has("name")) fields.text("name", name);
  if (mask.has("version")) fields.text("version", version);
  return fields.object();
}

function kept<Row extends object>(texts: WeakMap<Row, string>, row: Row, make: (row: Row) => string): string {
  let text = texts.get(row);
  if (text === undefined) {
    text = make(row);
    texts.set(row, text);
  }
  return text;
}

function endpointJson(endpoint: FlowEndpoint, mask: FieldMask): string {
  const fields = new JsonFields();
  if (mask.has("ID")) fields.number("ID", endpoint.id);
  if (mask.has("identity")) fields.number("identity", endpoint.identity);
  if (mask.has("cluster_name")) fields.text("cluster_name", endpoint.clusterName);
  if (mask.has("namespace")) fields.text("namespace", endpoint.namespace);
  if (mask.has("labels")) fields.texts("labels", endpoint.labels);
  if (mask.has("pod_name")) fields.text("pod_name", endpoint.podName);
  if (mask.has("workloads") && endpoint.workloads.length > 0) {
    const workloads = endpoint.workloads.map(({ name, kind }) => {
      const inner = new JsonFields();
      inner.text("name", name);
      inner.text("kind", kind);
      return inner.object();
    });
    fields.json("workloads", `[${workloads.join(",")}]`);
  }
  return fields.object();
}

function policyJson({ name, namespace, labels, revision, kind }: FlowPolicy): string {
  const fields = new JsonFields();
  fields.text("name", name);
  fields.text("namespace", namespace);
  fields.texts("labels", labels);
  fields.big("revision", revision);
  fields.text("kind", kind);
  return fields.object();
}

function serviceField(fields: JsonFields, name: string, mask: FieldMask | undefined, service: FlowService | undefined): void {
  if (mask === undefined || service === undefined) return;
  const inner = new JsonFields();
  if (mask.has("name")) inner.text("name", service.name);
  if (mask.has("namespace")) inner.text("namespace", service.namespace);
  fields.json(name, inner.object());
}

function ipField(fields: JsonFields, mask: FieldMask | undefined, ip: FlowIP | undefined): void {
  if (mask === undefined || ip === undefined) return;
  const inner = new JsonFields();
  if (mask.has("source")) inner.text("source", ip.source);
  if (mask.has("source_xlated")) inner.text("source_xlated", ip.sourceXlated);
  if (mask.has("destination")) inner.text("destination", ip.destination);
  if (mask.has("ipVersion")) inner.json("ipVersion", enumName(IPVersionSchema, ip.version));
  if (mask.has("encrypted") && ip.encrypted) inner.json("encrypted", "true");
  fields.json("IP", inner.object());
}

function layer4Field(fields: JsonFields, mask: FieldMask | undefined, l4: Layer4 | undefined): void {
  if (mask === undefined || l4 === undefined) return;
  const own = mask.of(l4.protocol);
  fields.json("l4", own === undefined ? "{}" : `{"${l4.protocol}":${layer4Json(own, l4)}}`);
}

function layer4Json(mask: FieldMask, l4: Layer4): string {
  const fields = new JsonFields();
  switch (l4.protocol) {
    case "ICMPv4":
    case "ICMPv6":
      if (mask.has("type")) fields.number("type", l4.type);
      if (mask.has("code")) fields.number("code", l4.code);
      break;
    case "VRRP":
      if (mask.has("type")) fields.number("type", l4.type);
      if (mask.has("vrid")) fields.number("vrid", l4.vrid);
      if (mask.has("priority")) fields.number("priority", l4.priority);
      break;
    case "IGMP":
      if (mask.has("type")) fields.number("type", l4.type);
      if (mask.has("group_address")) fields.text("group_address", l4.groupAddress);
      break;
    default:
      if (mask.has("source_port")) fields.number("source_port", l4.sourcePort);
      if (mask.has("destination_port")) fields.number("destination_port", l4.destinationPort);
      if (l4.protocol === "TCP") flagsField(fields, mask.of("flags"), l4.flags);
  }
  return fields.object();
}

function flagsField(fields: JsonFields, mask: FieldMask | undefined, flags: number): void {
  if (mask === undefined) return;
  const inner = new JsonFields();
  for (const [name, bit] of tcpFlagNames) if ((flags & bit) !== 0 && mask.has(name)) inner.json(name, "true");
  fields.json("flags", inner.object());
}

/** The number where there is no name; nothing for 0. */
function enumName(schema: DescEnum, value: number): string {
  if (value === 0) return "";
  const name = schema.value[value]?.name;
  return name === undefined ? String(value) : `"${name}"`;
}

function textsJson(texts: readonly string[]): string {
  return `[${texts.map(quote).join(",")}]`;
}
