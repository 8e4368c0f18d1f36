import assert from "node:assert/strict";
import { test } from "node:test";
import { type AddressBytes, parseAddress } from "@cilium-ts/net";
import { createRandom } from "@cilium-ts/testing";
import { EndpointResolver } from "./context/endpoint-resolver.ts";
import { decodeFlow } from "./decode.ts";
import { EventView } from "./event.ts";
import type { Flow } from "./flow.ts";
import { FlowRing } from "./ring.ts";
import {
  buildCapture,
  buildDebug,
  buildDrop,
  buildL7,
  buildPacket,
  buildSock,
  buildTrace,
  buildVerdict,
  frameRecords,
  sampleContext,
  sampleDns,
  sampleEndpoint,
  sampleHttp,
  sampleKafka,
  samplePolicy,
} from "./testing.ts";

const syn4 = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", tcp: { sourcePort: 40000, destinationPort: 80, flags: 0x02 } });
const syn6 = buildPacket({ source: "fd00::1", destination: "fd00::2", tcp: { sourcePort: 40000, destinationPort: 80, flags: 0x02 } });
const synAck4 = buildPacket({ source: "10.0.0.2", destination: "10.0.0.1", tcp: { sourcePort: 80, destinationPort: 40000, flags: 0x112 } });
const client = sampleEndpoint(11, 1001, "default", "client");
const web = sampleEndpoint(22, 1002, "shop", "web");
const world = { id: 0, identity: 2, clusterName: "", namespace: "", labels: ["reserved:world"], podName: "", workloads: [] };

function decode(record: Uint8Array): Flow {
  const event = new EventView(new EndpointResolver(sampleContext()));
  assert.ok(event.loadRecord(record), "the record is whole");
  const flow = decodeFlow(event);
  assert.ok(flow !== undefined);
  return flow;
}

function parse(text: string): AddressBytes {
  const address = parseAddress(text);
  assert.ok(address !== undefined);
  return address;
}

const ipOf = (source: string, destination: string, version: number): Flow["ip"] => ({
  source,
  sourceXlated: "",
  destination,
  version,
  encrypted: false,
});

const rows: ReadonlyArray<readonly [name: string, record: Uint8Array, expected: Partial<Flow>]> = [
  [
    "a drop at the sender",
    buildDrop({
      reason: 133,
      reporter: 11,
      sourceIdentity: 1001,
      destinationIdentity: 1002,
      destinationId: 22,
      file: 1,
      line: 77,
      ifindex: 12,
      packet: syn4,
    }),
    {
      time: { seconds: 1_767_225_601, nanos: 0 },
      verdict: 2,
      dropReason: 133,
      type: 1,
      eventType: { type: 1, subType: 133 },
      source: client,
      destination: web,
      ip: ipOf("10.0.0.1", "10.0.0.2", 1),
      l4: { protocol: "TCP", sourcePort: 40000, destinationPort: 80, flags: 2 },
      ethernet: { source: "02:00:00:00:00:01", destination: "02:00:00:00:00:02" },
      trafficDirection: 2,
      isReply: undefined,
      traceObservationPoint: 0,
      traceReason: 0,
      file: { name: "pod.c", line: 77 },
      interface: { index: 12, name: "lxc1234" },
      nodeName: "default/n1",
      summary: "TCP Flags: SYN",
    },
  ],
  [
    "a drop at the receiver, over IPv6",
    buildDrop({ reason: 181, reporter: 22, sourceIdentity: 1001, destinationIdentity: 1002, packet: syn6, flags: 1 }),
    {
      verdict: 2,
      dropReason: 181,
      trafficDirection: 1,
      ip: ipOf("fd00::1", "fd00::2", 2),
      source: client,
      destination: web,
      file: undefined,
    },
  ],
  ["a drop that the host reports", buildDrop({ reason: 134, packet: syn4 }), { trafficDirection: 0, verdict: 2 }],
  [
    "a drop without a packet",
    buildDrop({ reason: 137, reporter: 11, sourceIdentity: 1001, destinationIdentity: 2 }),
    { ip: undefined, l4: undefined, ethernet: undefined, summary: "", destination: world },
  ],
  [
    "a new connection delivered",
    buildTrace({
      point: 0,
      reason: 0,
      reporter: 11,
      sourceIdentity: 1001,
      destinationIdentity: 1002,
      destinationId: 22,
      ifindex: 12,
      packet: syn4,
    }),
    {
      verdict: 1,
      dropReason: 0,
      eventType: { type: 4, subType: 0 },
      traceObservationPoint: 101,
      traceReason: 1,
      isReply: false,
      trafficDirection: 2,
      interface: { index: 12, name: "lxc1234" },
    },
  ],
  [
    "its answer, seen by the receiver",
    buildTrace({ point: 0, reason: 2, reporter: 22, sourceIdentity: 1002, destinationIdentity: 1001, packet: synAck4 }),
    { isReply: true, trafficDirection: 1, traceReason: 3, source: web, destination: client, summary: "TCP Flags: SYN, ACK, NS" },
  ],
  [
    "its answer, seen by the first sender",
    buildTrace({ point: 0, reason: 2, reporter: 11, packet: synAck4 }),
    { isReply: true, trafficDirection: 2 },
  ],
  [
    "a related packet",
    buildTrace({ point: 3, reason: 3, reporter: 22, packet: syn4 }),
    { isReply: false, traceReason: 4, traceObservationPoint: 3 },
  ],
  [
    "a trace that knows no reason",
    buildTrace({ point: 5, reason: 5, reporter: 11, packet: syn4 }),
    { isReply: undefined, traceReason: 0, trafficDirection: 0, traceObservationPoint: 5, eventType: { type: 4, subType: 5 } },
  ],
  [
    "an encrypted reply",
    buildTrace({ point: 11, reason: 0x82, reporter: 11, packet: synAck4 }),
    { isReply: true, traceReason: 3, ip: { source: "10.0.0.2", sourceXlated: "", destination: "10.0.0.1", version: 1, encrypted: true } },
  ],
  ["a reason above unknown is kept", buildTrace({ point: 11, reason: 6, reporter: 11, packet: syn4 }), { traceReason: 6 }],
  [
    "a translated source, over IPv4",
    buildTrace({
      point: 11,
      reason: 0,
      reporter: 11,
      sourceIdentity: 1001,
      originalSource: "10.0.0.1",
      packet: buildPacket({ source: "192.0.2.1", destination: "1.1.1.1", udp: { sourcePort: 1, destinationPort: 53 } }),
    }),
    {
      ip: { source: "10.0.0.1", sourceXlated: "192.0.2.1", destination: "1.1.1.1", version: 1, encrypted: false },
      source: client,
      destination: world,
      trafficDirection: 2,
      l4: { protocol: "UDP", sourcePort: 1, destinationPort: 53 },
      summary: "UDP",
    },
  ],
  [
    "a translated source, over IPv6",
    buildTrace({
      point: 11,
      reason: 0,
      flags: 1,
      reporter: 11,
      originalSource: "fd00::1",
      packet: buildPacket({ source: "2001:db8::1", destination: "2001:db8::2", udp: { sourcePort: 1, destinationPort: 53 } }),
    }),
    { ip: { source: "fd00::1", sourceXlated: "2001:db8::1", destination: "2001:db8::2", version: 2, encrypted: false }, source: client },
  ],
  [
    "a source that was not translated",
    buildTrace({ point: 11, reason: 0, originalSource: "10.0.0.1", packet: syn4 }),
    { ip: ipOf("10.0.0.1", "10.0.0.2", 1) },
  ],
  [
    "a translated source leaves the node, whoever reports it",
    buildTrace({ point: 11, reason: 0, reporter: 22, originalSource: "10.0.0.1", packet: syn4 }),
    { trafficDirection: 2, source: client },
  ],
  [
    "a packet to the proxy",
    buildTrace({ point: 1, reason: 0, reporter: 11, destinationId: 0x1027, packet: syn4 }),
    { proxyPort: 10_000, traceObservationPoint: 1, destination: web },
  ],
  [
    "an allowed connection, at the receiver",
    buildVerdict({ reporter: 22, remoteIdentity: 1001, verdict: 0, flags: 1 | (2 << 3), cookie: 9, packet: syn4 }),
    {
      verdict: 1,
      dropReason: 0,
      trafficDirection: 1,
      policyMatchType: 2,
      isReply: false,
      ingressAllowedBy: [samplePolicy],
      egressAllowedBy: [],
      policyLog: ["allow web"],
      eventType: { type: 5, subType: 0 },
      source: client,
      destination: web,
    },
  ],
  [
    "an allowed connection, at the sender",
    buildVerdict({ reporter: 11, remoteIdentity: 1002, verdict: 0, flags: 2 | (4 << 3), cookie: 9, packet: syn6 }),
    { verdict: 1, trafficDirection: 2, policyMatchType: 4, egressAllowedBy: [samplePolicy], ingressAllowedBy: [] },
  ],
  [
    "a denied connection",
    buildVerdict({ reporter: 22, remoteIdentity: 1001, verdict: -181, flags: 1, cookie: 9, packet: syn4 }),
    { verdict: 2, dropReason: 181, isReply: undefined, ingressDeniedBy: [samplePolicy], ingressAllowedBy: [], egressDeniedBy: [] },
  ],
  [
    "a connection that nothing allowed",
    buildVerdict({ reporter: 11, remoteIdentity: 2, verdict: -133, flags: 2, packet: syn4 }),
    { verdict: 2, dropReason: 133, trafficDirection: 2, egressDeniedBy: [], policyLog: [], policyMatchType: 0 },
  ],
  [
    "a redirected connection",
    buildVerdict({ reporter: 11, remoteIdentity: 2, verdict: 10_001, flags: 2, cookie: 9, packet: syn4 }),
    { verdict: 5, proxyPort: 10_001, isReply: false, egressAllowedBy: [samplePolicy] },
  ],
  [
    "an audited connection, with the policies that would deny it",
    buildVerdict({ reporter: 11, remoteIdentity: 2, verdict: 0, flags: 2 | 0x40, cookie: 9, packet: syn4 }),
    { verdict: 4, dropReason: 0, egressAllowedBy: [], egressDeniedBy: [samplePolicy], policyLog: ["allow web"] },
  ],
  [
    "a verdict without a packet names its own side",
    buildVerdict({ reporter: 22, remoteIdentity: 1001, verdict: 0, flags: 1 }),
    { destination: web, source: { ...world, identity: 1001, labels: client.labels }, ip: undefined },
  ],
  [
    "a verdict on a device without link layer",
    buildVerdict({ reporter: 22, remoteIdentity: 1001, verdict: 0, flags: 0x81, packet: syn4.subarray(14) }),
    { ethernet: undefined, ip: ipOf("10.0.0.1", "10.0.0.2", 1) },
  ],
  [
    "the identity of the datapath wins over that of the tables",
    buildTrace({ point: 0, reason: 0, sourceIdentity: 2, destinationIdentity: 0, packet: syn4 }),
    { source: { ...client, identity: 2, labels: ["reserved:world"] }, destination: web },
  ],
  [
    "a capture",
    buildCapture({ point: 4, argument1: 12, reporter: 11, packet: syn4 }),
    { verdict: 0, debugCapturePoint: 4, interface: { index: 12, name: "lxc1234" }, eventType: { type: 3, subType: 4 }, isReply: undefined },
  ],
  ["a capture before the proxy", buildCapture({ point: 8, argument1: 0x1027, packet: syn4 }), { proxyPort: 10_000, debugCapturePoint: 8 }],
  [
    "a socket call before translation",
    buildSock({ point: 1, destination: "fd00::2", port: 80, protocol: 6, socketCookie: 2n ** 60n, cgroupId: 77n }),
    {
      type: 3,
      verdict: 6,
      sockXlatePoint: 1,
      socketCookie: 2n ** 60n,
      cgroupId: 77n,
      ip: ipOf("", "fd00::2", 2),
      l4: { protocol: "TCP", sourcePort: 0, destinationPort: 80, flags: 0 },
      destination: web,
      summary: "TCP",
    },
  ],
  [
    "a socket call after translation",
    buildSock({ point: 2, destination: "10.0.0.2", port: 53, protocol: 17, socketCookie: 1n, cgroupId: 1n }),
    { verdict: 7, ip: ipOf("", "10.0.0.2", 1) },
  ],
  [
    "a request that a proxy saw",
    buildL7({ type: 1, message: sampleHttp }),
    {
      type: 2,
      verdict: 1,
      eventType: { type: 129, subType: 0 },
      isReply: false,
      trafficDirection: 1,
      proxyPort: 10_001,
      source: client,
      destination: web,
      sourceService: undefined,
      destinationService: { name: "web-frontend", namespace: "shop" },
      ip: ipOf("10.0.0.1", "10.0.0.2", 1),
      ethernet: undefined,
      l4: { protocol: "TCP", sourcePort: 40000, destinationPort: 80, flags: 0 },
      layer7: { type: 1, latencyNs: 0n, traceId: "4bf92f3577b34da6", message: sampleHttp },
      summary: "HTTP/1.1 GET http://web.shop/page/1?q=x",
    },
  ],
  [
    "its answer, which the server sends",
    buildL7({ type: 2, message: { ...sampleHttp, code: 503 }, verdict: 3 }),
    {
      isReply: true,
      verdict: 3,
      source: web,
      destination: client,
      trafficDirection: 1,
      summary: "HTTP/1.1 503 5ms (GET http://web.shop/page/1?q=x)",
    },
  ],
  [
    "a question to DNS",
    buildL7({ type: 1, message: { ...sampleDns, qtypes: ["A", "AAAA"] } }),
    { summary: "DNS Query www.example.com. A,AAAA", l4: { protocol: "UDP", sourcePort: 40000, destinationPort: 80 } },
  ],
  [
    "an answer of DNS",
    buildL7({ type: 2, message: sampleDns }),
    { summary: 'DNS Answer "192.0.2.7" CNAMEs: "edge.example.net." TTL: 30 (Proxy www.example.com. A)' },
  ],
  [
    "a name that does not exist",
    buildL7({ type: 2, message: { ...sampleDns, ips: [], cnames: [], rcode: 3, ttl: 0 } }),
    { summary: "DNS Answer RCode: Non-Existent Domain TTL: 0 (Proxy www.example.com. A)" },
  ],
  [
    "a request to Kafka, refused over IPv6",
    buildL7({
      type: 1,
      message: sampleKafka,
      verdict: 2,
      client: { address: parse("fd00::1"), port: 1, identity: 0, endpointId: 11 },
      server: { address: parse("fd00::2"), port: 9092, identity: 0, endpointId: 22 },
    }),
    {
      verdict: 2,
      dropReason: 0,
      ip: ipOf("fd00::1", "fd00::2", 2),
      source: client,
      destination: web,
      summary: "Kafka request produce topic orders, correlation id 9",
    },
  ],
  [
    "names that the other side looked up",
    buildTrace({
      point: 3,
      reason: 0,
      reporter: 11,
      packet: buildPacket({ source: "10.0.0.1", destination: "1.1.1.1", tcp: { sourcePort: 1, destinationPort: 443, flags: 2 } }),
    }),
    { destinationNames: ["one.example.com"], sourceNames: [], nodeLabels: ["kubernetes.io/hostname=n1", "zone=a"] },
  ],
  [
    "names in the other direction, and notes of rules",
    buildVerdict({
      reporter: 11,
      verdict: 0,
      flags: 1,
      cookie: 9,
      packet: buildPacket({ source: "1.1.1.1", destination: "10.0.0.1", tcp: { sourcePort: 443, destinationPort: 1, flags: 0x12 } }),
    }),
    { sourceNames: ["one.example.com"], destinationNames: [], policyLog: ["allow web"] },
  ],
  [
    "a trace with an IP trace id",
    buildTrace({ point: 0, reason: 0, packet: syn4, ipTraceId: 2n ** 63n }),
    { ipTraceId: 2n ** 63n, ipTraceOption: 136 },
  ],
  ["a trace without one", buildTrace({ point: 0, reason: 0, packet: syn4 }), { ipTraceId: 0n, ipTraceOption: 0 }],
];

for (const [name, record, expected] of rows) {
  test(`decode: ${name}`, () => {
    const flow = decode(record);
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(flow[key as keyof Flow], value, key);
  });
}

const v6 = { source: "fd00::1", destination: "fd00::2" };
const v4 = { source: "10.0.0.1", destination: "10.0.0.2" };
const tcp = { sourcePort: 1, destinationPort: 2, flags: 0x11 };
const packets: ReadonlyArray<readonly [name: string, packet: Uint8Array, summary: string, l4: Flow["l4"]]> = [
  [
    "every TCP flag",
    buildPacket({ ...v4, tcp: { ...tcp, flags: 0x1ff } }),
    "TCP Flags: SYN, ACK, RST, FIN, PSH, URG, ECE, CWR, NS",
    { protocol: "TCP", sourcePort: 1, destinationPort: 2, flags: 0x1ff },
  ],
  [
    "SCTP",
    buildPacket({ ...v6, sctp: { sourcePort: 5, destinationPort: 6 } }),
    "SCTP",
    { protocol: "SCTP", sourcePort: 5, destinationPort: 6 },
  ],
  ["ICMPv4 echo", buildPacket({ ...v4, icmp: { type: 8, code: 0 } }), "ICMPv4 EchoRequest", { protocol: "ICMPv4", type: 8, code: 0 }],
  [
    "ICMPv4 echo with a code",
    buildPacket({ ...v4, icmp: { type: 0, code: 5 } }),
    "ICMPv4 EchoReply(Code: 5)",
    { protocol: "ICMPv4", type: 0, code: 5 },
  ],
  [
    "ICMPv4 unreachable",
    buildPacket({ ...v4, icmp: { type: 3, code: 4 } }),
    "ICMPv4 DestinationUnreachable(FragmentationNeeded)",
    { protocol: "ICMPv4", type: 3, code: 4 },
  ],
  [
    "ICMPv4 unreachable, unknown code",
    buildPacket({ ...v4, icmp: { type: 3, code: 99 } }),
    "ICMPv4 DestinationUnreachable(Code: 99)",
    { protocol: "ICMPv4", type: 3, code: 99 },
  ],
  [
    "ICMPv4 of an unknown type",
    buildPacket({ ...v4, icmp: { type: 200, code: 3 } }),
    "ICMPv4 200(3)",
    { protocol: "ICMPv4", type: 200, code: 3 },
  ],
  ["ICMPv6 echo", buildPacket({ ...v6, icmp: { type: 128, code: 0 } }), "ICMPv6 EchoRequest", { protocol: "ICMPv6", type: 128, code: 0 }],
  [
    "neighbour discovery",
    buildPacket({ ...v6, icmp: { type: 135, code: 0 } }),
    "ICMPv6 NeighborSolicitation",
    { protocol: "ICMPv6", type: 135, code: 0 },
  ],
  [
    "ICMPv6 time exceeded",
    buildPacket({ ...v6, icmp: { type: 3, code: 0 } }),
    "ICMPv6 TimeExceeded(HopLimitExceeded)",
    { protocol: "ICMPv6", type: 3, code: 0 },
  ],
  [
    "VRRP",
    buildPacket({ ...v4, other: { protocol: 112, bytes: Uint8Array.from([0x31, 7, 100, 0, 0, 0, 0, 0]) } }),
    "VRRP",
    { protocol: "VRRP", type: 1, vrid: 7, priority: 100 },
  ],
  [
    "IGMP",
    buildPacket({ ...v4, other: { protocol: 2, bytes: Uint8Array.from([0x16, 0, 0, 0, 224, 0, 0, 251]) } }),
    "IGMP",
    { protocol: "IGMP", type: 0x16, groupAddress: "224.0.0.251" },
  ],
  ["another protocol over IPv4", buildPacket({ ...v4, other: { protocol: 47, bytes: new Uint8Array(8) } }), "IPv4", undefined],
  [
    "a VLAN tag",
    buildPacket({ ...v4, tcp, vlan: 5 }),
    "TCP Flags: ACK, FIN",
    { protocol: "TCP", sourcePort: 1, destinationPort: 2, flags: 0x11 },
  ],
  ["a later IPv4 fragment", buildPacket({ ...v4, tcp, fragmentOffset: 10 }), "IPv4", undefined],
  [
    "IPv6 extension headers",
    buildPacket({
      ...v6,
      tcp,
      extensions: [
        { kind: 0, bytes: new Uint8Array(8) },
        { kind: 43, bytes: Uint8Array.from([0, 1, ...new Array(14).fill(0)]) },
        { kind: 60, bytes: new Uint8Array(8) },
      ],
    }),
    "TCP Flags: ACK, FIN",
    { protocol: "TCP", sourcePort: 1, destinationPort: 2, flags: 0x11 },
  ],
  [
    "a first IPv6 fragment",
    buildPacket({ ...v6, tcp, extensions: [{ kind: 44, bytes: Uint8Array.from([0, 0, 0, 1, 0, 0, 0, 9]) }] }),
    "TCP Flags: ACK, FIN",
    { protocol: "TCP", sourcePort: 1, destinationPort: 2, flags: 0x11 },
  ],
  [
    "a later IPv6 fragment",
    buildPacket({ ...v6, tcp, extensions: [{ kind: 44, bytes: Uint8Array.from([0, 0, 1, 0, 0, 0, 0, 9]) }] }),
    "IPv6",
    undefined,
  ],
  [
    "an authentication header",
    buildPacket({ ...v6, tcp, extensions: [{ kind: 51, bytes: Uint8Array.from([0, 4, ...new Array(22).fill(0)]) }] }),
    "TCP Flags: ACK, FIN",
    { protocol: "TCP", sourcePort: 1, destinationPort: 2, flags: 0x11 },
  ],
  ["ARP", Uint8Array.from([...new Array(12).fill(2), 0x08, 0x06, ...new Array(28).fill(0)]), "Ethernet", undefined],
  ["a packet cut in the TCP header", buildPacket({ ...v4, tcp }).subarray(0, 14 + 20 + 10), "IPv4", undefined],
  ["a packet cut in Ethernet", new Uint8Array(10), "", undefined],
];

for (const [name, packet, summary, l4] of packets) {
  test(`packet: ${name}`, () => {
    const flow = decode(buildTrace({ point: 0, reason: 0, packet }));
    assert.equal(flow.summary, summary);
    assert.deepEqual(flow.l4, l4);
  });
}

for (const [name, flag, header, protocol] of [
  ["VXLAN", 4, new Uint8Array(8), 1],
  ["Geneve with options", 8, Uint8Array.from([2, ...new Array(15).fill(0)]), 2],
] as const) {
  test(`what ${name} carries is the flow, and what carries it is the tunnel`, () => {
    const udp = Uint8Array.from([0x80, 0, 0x21, 0x18, 0, 0, 0, 0]);
    const outer = buildPacket({
      source: "192.0.2.1",
      destination: "192.0.2.2",
      other: { protocol: 17, bytes: Uint8Array.from([...udp, ...header, ...syn6]) },
    });
    const flow = decode(buildTrace({ point: 4, reason: 0, flags: flag, packet: outer }));
    assert.deepEqual(flow.ip, ipOf("fd00::1", "fd00::2", 2));
    assert.deepEqual(flow.tunnel, {
      protocol,
      ip: ipOf("192.0.2.1", "192.0.2.2", 1),
      l4: { protocol: "UDP", sourcePort: 0x8000, destinationPort: 0x2118 },
    });
  });
}

test("bytes behind the captured length are no part of the packet", () => {
  const record = buildTrace({ point: 0, reason: 0, packet: syn4 });
  new DataView(record.buffer).setUint16(20, 14 + 20, true);
  assert.equal(decode(record).summary, "IPv4");
});

test("debug messages and losses are no flows", () => {
  const event = new EventView(new EndpointResolver(sampleContext()));
  assert.ok(event.loadRecord(buildDebug({ message: 3, reporter: 22, hash: 0xffffffff, arguments: [1, 2, 0xfffffffe] })));
  assert.equal(decodeFlow(event), undefined);
  assert.deepEqual([event.subType, event.reporter, event.hash, ...event.debugArguments], [3, 22, 0xffffffff, 1, 2, 0xfffffffe]);
});

for (const [name, shorten, expected] of [
  ["a drop of version 0", (record: Uint8Array) => withVersion(record, 0, 44), { file: { name: "pod.c", line: 77 }, ipTraceId: 0n }],
  ["a drop of version 1", (record: Uint8Array) => withVersion(record, 1, 44), { file: { name: "pod.c", line: 77 }, ipTraceId: 0n }],
  ["a drop of version 2", (record: Uint8Array) => withVersion(record, 2, 48), { interface: { index: 12, name: "lxc1234" }, ipTraceId: 0n }],
  ["a drop of version 3", (record: Uint8Array) => withVersion(record, 3, 56), { ipTraceId: 5n }],
  ["a drop of a version to come", (record: Uint8Array) => withVersion(record, 9, 56), { ipTraceId: 5n }],
] as const) {
  test(`decode: ${name}`, () => {
    const drop = buildDrop({
      reason: 133,
      reporter: 11,
      file: 1,
      line: 77,
      ifindex: 12,
      ipTraceId: 5n,
      sourceIdentity: 1001,
      packet: syn4,
    });
    const flow = decode(shorten(drop));
    for (const [key, value] of Object.entries({ ...expected, summary: "TCP Flags: SYN", source: client }))
      assert.deepEqual(flow[key as keyof Flow], value, key);
  });
}

for (const [version, packetOffset, expected] of [
  [0, 40, { ip: ipOf("10.0.0.1", "10.0.0.2", 1), ipTraceId: 0n }],
  [1, 56, { ip: { ...ipOf("10.9.9.9", "10.0.0.2", 1), sourceXlated: "10.0.0.1" }, ipTraceId: 0n }],
  [2, 64, { ip: { ...ipOf("10.9.9.9", "10.0.0.2", 1), sourceXlated: "10.0.0.1" }, ipTraceId: 6n }],
] as const) {
  test(`decode: a trace of version ${version}`, () => {
    const flow = decode(
      withVersion(buildTrace({ point: 3, reason: 1, originalSource: "10.9.9.9", ipTraceId: 6n, packet: syn4 }), version, packetOffset),
    );
    for (const [key, value] of Object.entries({ ...expected, summary: "TCP Flags: SYN", traceReason: 2 }))
      assert.deepEqual(flow[key as keyof Flow], value, key);
  });
}

/** The record as an older or newer datapath writes it: the packet stands where that version has it. */
function withVersion(record: Uint8Array, version: number, packetOffset: number): Uint8Array {
  const packet = record.subarray(record.length - syn4.length);
  const shortened = Uint8Array.from([...record.subarray(0, packetOffset), ...packet]);
  shortened[22] = version;
  return shortened;
}

test("a record of a proxy that is not whole is no flow, and one without end is cut", () => {
  const event = new EventView(new EndpointResolver(sampleContext()));
  const whole = buildL7({ type: 1, message: sampleHttp });
  for (const end of [40, 79, 80, 100, whole.length - 1]) {
    assert.ok(event.loadRecord(whole.subarray(0, end)));
    assert.equal(decodeFlow(event), undefined);
  }
  const headers = Array.from({ length: 500 }, (_, index) => ({ key: `k${index}`, value: "v".repeat(5_000) }));
  const long = buildL7({ type: 1, message: { ...sampleHttp, url: `http://web/${"x".repeat(9_000)}`, headers } });
  assert.ok(long.length < 40_000, `it has ${long.length} bytes`);
  assert.ok(event.loadRecord(long));
  const message = decodeFlow(event)?.layer7?.message;
  assert.ok(message?.protocol === "http" && message.url.length === 4_096);
});

test("an event is explained by the rows of its own time, not of now", () => {
  const context = sampleContext();
  context.removeEndpoint(22, 2_000);
  context.setEndpoint(sampleEndpoint(33, 1003, "shop", "successor"), [Uint8Array.from([10, 0, 0, 2])], 3_000);
  const event = new EventView(new EndpointResolver(context));
  const podAt = (timeNs: number): string | undefined => {
    assert.ok(event.loadRecord(buildTrace({ timeNs, point: 0, reason: 0, packet: syn4 })));
    return decodeFlow(event)?.destination?.podName;
  };
  assert.deepEqual([1_500, 2_500, 3_500].map(podAt), ["web", "", "successor"]);
  context.forgetBefore(2_900);
  assert.deepEqual([1_500, 3_500].map(podAt), ["", "successor"]);
});

test("wall-clock time keeps its nanoseconds", () => {
  const flow = decode(buildTrace({ point: 0, reason: 0, timeNs: 3_999_999_999n }));
  assert.deepEqual(flow.time, { seconds: 1_767_225_603, nanos: 999_999_999 });
});

test("the uuid is the ring's", () => {
  const ring = new FlowRing({ capacity: 7, instance: new Uint8Array(9) });
  ring.append(frameRecords([buildTrace({ point: 0, reason: 0 }), buildTrace({ point: 0, reason: 0 })]));
  const event = new EventView(new EndpointResolver(sampleContext()));
  assert.ok(event.load(ring, 1));
  assert.equal(decodeFlow(event)?.uuid, ring.uuidOf(1));
});

test("any bytes are decoded or refused, never thrown at", () => {
  const random = createRandom(7);
  const event = new EventView(new EndpointResolver(sampleContext()));
  const seeds = rows.map(([, record]) => record);
  let decoded = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const record = Uint8Array.from(random.pick(seeds)).subarray(0, random.chance(0.5) ? undefined : random.below(130));
    for (let change = random.below(6); change > 0; change -= 1) record[random.below(Math.max(1, record.length))] = random.below(256);
    if (!event.loadRecord(record)) continue;
    if (decodeFlow(event) !== undefined) decoded += 1;
  }
  assert.ok(decoded > 5_000, `only ${decoded} were decoded`);
});
