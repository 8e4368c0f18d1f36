import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type DescMessage, fromBinary, type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import {
  decodeFlow,
  EndpointResolver,
  EventView,
  type Flow,
  type FlowIP,
  type FlowPolicy,
  type Layer4,
  type Layer7,
  TcpFlag,
} from "@cilium-ts/flow";
import {
  buildCapture,
  buildDrop,
  buildL7,
  buildPacket,
  buildSock,
  buildTrace,
  buildVerdict,
  sampleContext,
  sampleDns,
  sampleHttp,
  sampleKafka,
} from "@cilium-ts/flow/testing";
import { createRandom } from "@cilium-ts/testing";
import { FieldMask } from "../filters/field-mask.ts";
import { type Flow as FlowMessage, FlowSchema, IPSchema, Layer4Schema, Layer7Schema } from "../gen/flow/flow_pb.js";
import { type GetFlowsResponse, GetFlowsResponseSchema } from "../gen/observer/observer_pb.js";
import { FlowEncoder } from "./flow-encoder.ts";
import { randomFlow } from "./random-flow.ts";

type Layer7Init = Exclude<MessageInitShape<typeof Layer7Schema>, { $typeName: string }>;

const emitter = { name: "Hubble", version: "0.1.0" };

/** The slow and obvious way, through the library. */
function toMessage(flow: Flow): FlowMessage {
  return create(FlowSchema, {
    time: { seconds: BigInt(flow.time.seconds), nanos: flow.time.nanos },
    uuid: flow.uuid,
    emitter,
    verdict: flow.verdict,
    dropReason: flow.dropReason,
    dropReasonDesc: flow.dropReason,
    authType: flow.authType,
    ...(flow.ethernet === undefined ? {} : { ethernet: flow.ethernet }),
    ...(flow.ip === undefined ? {} : { IP: toIP(flow.ip) }),
    ...(flow.l4 === undefined ? {} : { l4: toLayer4(flow.l4) }),
    ...(flow.tunnel === undefined
      ? {}
      : {
          tunnel: {
            protocol: flow.tunnel.protocol,
            ...(flow.tunnel.ip === undefined ? {} : { IP: toIP(flow.tunnel.ip) }),
            ...(flow.tunnel.l4 === undefined ? {} : { l4: toLayer4(flow.tunnel.l4) }),
          },
        }),
    ...(flow.source === undefined ? {} : { source: toEndpoint(flow.source) }),
    ...(flow.destination === undefined ? {} : { destination: toEndpoint(flow.destination) }),
    Type: flow.type,
    nodeName: flow.nodeName,
    nodeLabels: [...flow.nodeLabels],
    reply: flow.isReply === true,
    eventType: flow.eventType,
    trafficDirection: flow.trafficDirection,
    policyMatchType: flow.policyMatchType,
    traceObservationPoint: flow.traceObservationPoint,
    traceReason: flow.traceReason,
    ...(flow.file === undefined ? {} : { file: flow.file }),
    ...(flow.ipTraceId === 0n ? {} : { ipTraceId: { traceId: flow.ipTraceId, ipOptionType: flow.ipTraceOption } }),
    ...(flow.isReply === undefined ? {} : { isReply: flow.isReply }),
    debugCapturePoint: flow.debugCapturePoint,
    ...(flow.interface === undefined ? {} : { interface: flow.interface }),
    proxyPort: flow.proxyPort,
    sockXlatePoint: flow.sockXlatePoint,
    socketCookie: flow.socketCookie,
    cgroupId: flow.cgroupId,
    Summary: flow.summary,
    egressAllowedBy: flow.egressAllowedBy.map(toPolicy),
    ingressAllowedBy: flow.ingressAllowedBy.map(toPolicy),
    egressDeniedBy: flow.egressDeniedBy.map(toPolicy),
    ingressDeniedBy: flow.ingressDeniedBy.map(toPolicy),
    policyLog: [...flow.policyLog],
    sourceNames: [...flow.sourceNames],
    destinationNames: [...flow.destinationNames],
    ...(flow.sourceService === undefined ? {} : { sourceService: flow.sourceService }),
    ...(flow.destinationService === undefined ? {} : { destinationService: flow.destinationService }),
    ...(flow.layer7 === undefined ? {} : { l7: toLayer7(flow.layer7) }),
    ...(flow.layer7 === undefined || flow.layer7.traceId === "" ? {} : { traceContext: { parent: { traceId: flow.layer7.traceId } } }),
  });
}

function toLayer7({ type, latencyNs, message }: Layer7) {
  const { protocol: kind, ...fields } = message;
  const copy = Object.fromEntries(Object.entries(fields).map(([key, value]) => [key === "version" ? "protocol" : key, value]));
  return create(Layer7Schema, { type, latencyNs, record: { case: kind, value: copy } as NonNullable<Layer7Init["record"]> });
}

function toIP(ip: FlowIP) {
  return create(IPSchema, {
    source: ip.source,
    sourceXlated: ip.sourceXlated,
    destination: ip.destination,
    ipVersion: ip.version,
    encrypted: ip.encrypted,
  });
}

function toEndpoint(endpoint: NonNullable<Flow["source"]>) {
  const { id, identity, clusterName, namespace, labels, podName, workloads } = endpoint;
  return {
    ID: id,
    identity,
    clusterName,
    namespace,
    labels: [...labels],
    podName,
    workloads: workloads.map((workload) => ({ ...workload })),
  };
}

function toPolicy(policy: FlowPolicy) {
  return { ...policy, labels: [...policy.labels] };
}

function toLayer4(l4: Layer4) {
  switch (l4.protocol) {
    case "TCP": {
      const has = (bit: number): boolean => (l4.flags & bit) !== 0;
      const flags = {
        FIN: has(TcpFlag.fin),
        SYN: has(TcpFlag.syn),
        RST: has(TcpFlag.rst),
        PSH: has(TcpFlag.psh),
        ACK: has(TcpFlag.ack),
        URG: has(TcpFlag.urg),
        ECE: has(TcpFlag.ece),
        CWR: has(TcpFlag.cwr),
        NS: has(TcpFlag.ns),
      };
      const value = { sourcePort: l4.sourcePort, destinationPort: l4.destinationPort, flags };
      return create(Layer4Schema, { protocol: { case: "TCP", value } });
    }
    case "UDP":
      return create(Layer4Schema, { protocol: { case: "UDP", value: { sourcePort: l4.sourcePort, destinationPort: l4.destinationPort } } });
    case "SCTP":
      return create(Layer4Schema, {
        protocol: { case: "SCTP", value: { sourcePort: l4.sourcePort, destinationPort: l4.destinationPort } },
      });
    case "ICMPv4":
      return create(Layer4Schema, { protocol: { case: "ICMPv4", value: { type: l4.type, code: l4.code } } });
    case "ICMPv6":
      return create(Layer4Schema, { protocol: { case: "ICMPv6", value: { type: l4.type, code: l4.code } } });
    case "VRRP":
      return create(Layer4Schema, { protocol: { case: "VRRP", value: { type: l4.type, vrid: l4.vrid, priority: l4.priority } } });
    case "IGMP":
      return create(Layer4Schema, { protocol: { case: "IGMP", value: { type: l4.type, groupAddress: l4.groupAddress } } });
  }
}

function encode(flow: Flow, mask = FieldMask.everything): Uint8Array {
  const encoder = new FlowEncoder({ mask, emitter });
  encoder.addFlow(flow);
  const framed = encoder.take();
  assert.equal(framed[0], 0);
  assert.equal(Buffer.from(framed).readUInt32BE(1), framed.length - 5);
  return framed.subarray(5);
}

function maskOf(paths: readonly string[]): FieldMask {
  const parsed = FieldMask.parse(paths);
  assert.ok("mask" in parsed, "problem" in parsed ? parsed.problem : "");
  return parsed.mask;
}

/** Copies the fields that the paths name, message by message. */
function maskMessage(schema: DescMessage, message: Message, paths: readonly string[]): Message {
  const from = reflect(schema, message);
  const to = reflect(schema);
  for (const field of schema.fields) {
    const rests = paths
      .filter((path) => path === field.name || path.startsWith(`${field.name}.`))
      .map((path) => path.slice(field.name.length + 1));
    if (rests.length === 0 || !from.isSet(field)) continue;
    const value = from.get(field);
    if (rests.includes("") || field.fieldKind !== "message") to.set(field, value);
    else to.set(field, reflect(field.message, maskMessage(field.message, (value as ReturnType<typeof reflect>).message, rests)));
  }
  return to.message;
}

test("what is written by hand is, byte for byte, what the library writes", () => {
  for (let seed = 0; seed < 3_000; seed += 1) {
    const flow = randomFlow(createRandom(seed));
    const message = toMessage(flow);
    const expected = create(GetFlowsResponseSchema, {
      responseTypes: { case: "flow", value: message },
      nodeName: flow.nodeName,
      ...(message.time === undefined ? {} : { time: message.time }),
    });
    const written = encode(flow);
    assert.deepEqual(fromBinary(GetFlowsResponseSchema, written), expected, `seed ${seed}`);
    assert.deepEqual(Buffer.from(written), Buffer.from(toBinary(GetFlowsResponseSchema, expected)), `seed ${seed}`);
  }
});

const packet = buildPacket({
  source: "10.0.0.1",
  destination: "10.0.0.2",
  tcp: { sourcePort: 1, destinationPort: 80, flags: 2 },
});
for (const [name, record] of [
  ["a drop", buildDrop({ reason: 133, reporter: 11, file: 1, line: 3, packet })],
  ["a trace", buildTrace({ point: 0, reason: 2, reporter: 11, packet })],
  ["a verdict", buildVerdict({ verdict: 0, flags: 1, cookie: 9, reporter: 22, packet })],
  ["a capture", buildCapture({ point: 4, packet })],
  ["a request that a proxy saw", buildL7({ type: 1, message: sampleHttp })],
  ["an answer of DNS", buildL7({ type: 2, message: sampleDns })],
  ["a request to Kafka", buildL7({ type: 1, message: sampleKafka })],
  ["a socket call", buildSock({ point: 2, destination: "fd00::2", port: 80, protocol: 6, socketCookie: 5n, cgroupId: 6n })],
] as const) {
  test(`${name} goes over the wire whole`, () => {
    const event = new EventView(new EndpointResolver(sampleContext()));
    assert.ok(event.loadRecord(record));
    const flow = decodeFlow(event);
    assert.ok(flow !== undefined);
    assert.deepEqual(flowOf(fromBinary(GetFlowsResponseSchema, encode(flow))), toMessage(flow));
  });
}

function flowOf(response: GetFlowsResponse): FlowMessage {
  assert.ok(response.responseTypes.case === "flow");
  return response.responseTypes.value;
}

for (const paths of [
  ["verdict"],
  ["time", "node_name"],
  ["time.seconds"],
  ["source.identity", "source.pod_name", "destination.labels", "l4.TCP.flags.SYN"],
  ["l4.UDP", "l4.TCP.destination_port", "IP.source", "tunnel.IP.destination", "tunnel.l4.TCP"],
  ["source", "source.identity", "is_reply", "event_type.sub_type", "emitter.name", "ip_trace_id.trace_id"],
  ["l7.type", "l7.http.url", "l7.http.headers", "l7.dns", "l7.kafka.topic", "trace_context.parent.trace_id"],
  ["l7", "source_names", "destination_service.name", "source_service", "policy_log", "trace_context"],
  ["egress_allowed_by", "ingress_denied_by", "interface.name", "file.line", "ethernet.destination", "Summary", "drop_reason"],
]) {
  test(`the mask ${paths.join(",")} leaves what it names`, () => {
    const mask = maskOf(paths);
    for (let seed = 0; seed < 200; seed += 1) {
      const flow = randomFlow(createRandom(seed));
      const response = fromBinary(GetFlowsResponseSchema, encode(flow, mask));
      const expected = maskMessage(FlowSchema, toMessage(flow), paths) as FlowMessage;
      assert.deepEqual(flowOf(response), expected, `seed ${seed}`);
      assert.deepEqual(response.time, expected.time);
      assert.equal(response.nodeName, expected.nodeName);
    }
  });
}

for (const [path, problem] of [
  ["nonsense", /field mask path "nonsense": no field "nonsense" in flow.Flow, which has time, /],
  ["source.pod", /no field "pod" in source, which has ID, /],
  ["verdict.x", /no field "x" in verdict, which has no fields/],
  ["egress_allowed_by.name", /no field "name" in egress_allowed_by/],
  ["nodeName", /no field "nodeName"/],
  ["", /no field ""/],
] as const) {
  test(`the mask path ${JSON.stringify(path)} is refused`, () => {
    const parsed = FieldMask.parse(["time", path]);
    assert.ok("problem" in parsed);
    assert.match(parsed.problem, problem);
  });
}

test("losses are written with their times and source", () => {
  const encoder = new FlowEncoder({ emitter });
  const time = { seconds: 5, nanos: 6 };
  encoder.addLost({
    source: 3,
    count: 2 ** 40,
    first: { seconds: 1, nanos: 2 },
    last: { seconds: 3, nanos: 0 },
    nodeName: "default/n1",
    time,
  });
  const response = fromBinary(GetFlowsResponseSchema, encoder.take().subarray(5));
  assert.equal(response.nodeName, "default/n1");
  assert.ok(response.responseTypes.case === "lostEvents");
  const lost = response.responseTypes.value;
  assert.deepEqual([lost.source, lost.numEventsLost, lost.cpu], [3, 2n ** 40n, undefined]);
  assert.deepEqual([lost.first?.seconds, lost.first?.nanos, lost.last?.seconds], [1n, 2, 3n]);
});
