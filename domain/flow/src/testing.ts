/** Events and packets made by hand, for tests of whatever reads them. */
import { type AddressBytes, parseAddress, parseMac } from "@cilium-ts/net";
import type { AgentEvent } from "./agent-event.ts";
import { type FlowContext, type FlowEndpoint, type FlowPolicy, noReasons } from "./context/context.ts";
import { ContextHistory } from "./context/context-history.ts";
import { captureOffset, debugOffset, dropOffset, EventType, headerOffset, sockOffset, traceOffset, verdictOffset } from "./event-layout.ts";
import { TrafficDirection, Verdict } from "./flow.ts";
import { encodeL7Record, type L7Record } from "./layer7/l7-record.ts";
import { L7Type, type Layer7 } from "./layer7/layer7.ts";

export interface PacketSpec {
  readonly source: string;
  readonly destination: string;
  readonly tcp?: { readonly sourcePort: number; readonly destinationPort: number; readonly flags: number };
  readonly udp?: { readonly sourcePort: number; readonly destinationPort: number };
  readonly sctp?: { readonly sourcePort: number; readonly destinationPort: number };
  readonly icmp?: { readonly type: number; readonly code: number };
  /** Another protocol, with what follows the IP header. */
  readonly other?: { readonly protocol: number; readonly bytes: Uint8Array };
  /** IPv6: headers before the last, each a multiple of 8 bytes; their first byte is filled in here. */
  readonly extensions?: ReadonlyArray<{ readonly kind: number; readonly bytes: Uint8Array }>;
  /** IPv4: in units of 8 bytes. */
  readonly fragmentOffset?: number;
  readonly vlan?: number;
  /** Starts with IP. */
  readonly withoutEthernet?: boolean;
}

const sourceMac = "02:00:00:00:00:01";
const destinationMac = "02:00:00:00:00:02";

export function buildPacket(spec: PacketSpec): Uint8Array {
  const source = addressOf(spec.source);
  const destination = addressOf(spec.destination);
  const v4 = source.length === 4;
  const { protocol, bytes } = buildL4(spec, v4);
  const ip = v4
    ? buildIPv4(source, destination, protocol, bytes, spec.fragmentOffset ?? 0)
    : buildIPv6(source, destination, protocol, bytes, spec);
  if (spec.withoutEthernet === true) return ip;
  const tag = spec.vlan === undefined ? [] : [0x81, 0x00, spec.vlan >> 8, spec.vlan & 0xff];
  return concat([macOf(destinationMac), macOf(sourceMac), Uint8Array.from([...tag, ...(v4 ? [0x08, 0x00] : [0x86, 0xdd])]), ip]);
}

function buildL4(spec: PacketSpec, v4: boolean): { protocol: number; bytes: Uint8Array } {
  const ports = spec.tcp ?? spec.udp ?? spec.sctp;
  if (ports !== undefined) {
    const bytes = new Uint8Array(spec.tcp === undefined ? 12 : 20);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, ports.sourcePort);
    view.setUint16(2, ports.destinationPort);
    if (spec.tcp !== undefined) view.setUint16(12, 0x5000 | spec.tcp.flags);
    return { protocol: spec.tcp !== undefined ? 6 : spec.udp !== undefined ? 17 : 132, bytes };
  }
  if (spec.icmp !== undefined) return { protocol: v4 ? 1 : 58, bytes: Uint8Array.from([spec.icmp.type, spec.icmp.code, 0, 0, 0, 0, 0, 0]) };
  return spec.other ?? { protocol: 253, bytes: new Uint8Array(8) };
}

function buildIPv4(
  source: AddressBytes,
  destination: AddressBytes,
  protocol: number,
  payload: Uint8Array,
  fragmentOffset: number,
): Uint8Array {
  const header = new Uint8Array(20);
  const view = new DataView(header.buffer);
  header[0] = 0x45;
  view.setUint16(2, 20 + payload.length);
  view.setUint16(6, fragmentOffset);
  header[8] = 64;
  header[9] = protocol;
  header.set(source, 12);
  header.set(destination, 16);
  return concat([header, payload]);
}

function buildIPv6(source: AddressBytes, destination: AddressBytes, protocol: number, payload: Uint8Array, spec: PacketSpec): Uint8Array {
  const extensions = spec.extensions ?? [];
  const header = new Uint8Array(40);
  header[0] = 0x60;
  header[6] = extensions[0]?.kind ?? protocol;
  header[7] = 64;
  header.set(source, 8);
  header.set(destination, 24);
  const parts = extensions.map(({ bytes }, index) => {
    const part = Uint8Array.from(bytes);
    part[0] = extensions[index + 1]?.kind ?? protocol;
    return part;
  });
  return concat([header, ...parts, payload]);
}

/** A record of any kind: the fields by their offset, then the packet. Sizes are bytes; 8 is written as a bigint. */
function buildRecord(
  sizeBytes: number,
  fields: ReadonlyArray<readonly [offset: number, size: 1 | 2 | 4 | 8, value: number | bigint]>,
  packet: Uint8Array,
): Uint8Array {
  const record = new Uint8Array(sizeBytes + packet.length);
  const view = new DataView(record.buffer);
  for (const [offset, size, value] of fields) {
    if (size === 1) view.setUint8(offset, Number(value));
    else if (size === 2) view.setUint16(offset, Number(value), true);
    else if (size === 4) view.setUint32(offset, Number(value), true);
    else view.setBigUint64(offset, BigInt(value), true);
  }
  record.set(packet, sizeBytes);
  return record;
}

interface EventSpec {
  /** CLOCK_MONOTONIC ns. */
  readonly timeNs?: number | bigint;
  readonly reporter?: number;
  readonly packet?: Uint8Array;
}

function headerFields(
  type: number,
  subType: number,
  version: number,
  spec: EventSpec,
): ReadonlyArray<readonly [number, 1 | 2 | 4 | 8, number | bigint]> {
  const length = spec.packet?.length ?? 0;
  return [
    [headerOffset.timeNs, 8, BigInt(spec.timeNs ?? 1_000_000_000)],
    [headerOffset.type, 1, type],
    [headerOffset.subType, 1, subType],
    [headerOffset.reporter, 2, spec.reporter ?? 0],
    [headerOffset.originalLength, 4, length],
    [headerOffset.capturedLength, 2, length],
    [headerOffset.version, 1, version],
  ];
}

const noPacket = new Uint8Array(0);

export function buildDrop(
  spec: EventSpec & {
    readonly reason: number;
    readonly sourceIdentity?: number;
    readonly destinationIdentity?: number;
    readonly destinationId?: number;
    readonly file?: number;
    readonly line?: number;
    readonly ifindex?: number;
    readonly flags?: number;
    readonly ipTraceId?: bigint;
  },
): Uint8Array {
  return buildRecord(
    56,
    [
      ...headerFields(EventType.drop, spec.reason, 3, spec),
      [dropOffset.sourceIdentity, 4, spec.sourceIdentity ?? 0],
      [dropOffset.destinationIdentity, 4, spec.destinationIdentity ?? 0],
      [dropOffset.destinationId, 4, spec.destinationId ?? 0],
      [dropOffset.line, 2, spec.line ?? 0],
      [dropOffset.file, 1, spec.file ?? 0],
      [dropOffset.ifindex, 4, spec.ifindex ?? 0],
      [dropOffset.flags, 4, spec.flags ?? 0],
      [dropOffset.ipTraceId, 8, spec.ipTraceId ?? 0n],
    ],
    spec.packet ?? noPacket,
  );
}

export function buildTrace(
  spec: EventSpec & {
    readonly point: number;
    /** The datapath's number; 5: not known. */
    readonly reason: number;
    readonly sourceIdentity?: number;
    readonly destinationIdentity?: number;
    readonly destinationId?: number;
    readonly ifindex?: number;
    readonly flags?: number;
    readonly originalSource?: string;
    readonly ipTraceId?: bigint;
  },
): Uint8Array {
  const record = buildRecord(
    64,
    [
      ...headerFields(EventType.trace, spec.point, 2, spec),
      [traceOffset.sourceIdentity, 4, spec.sourceIdentity ?? 0],
      [traceOffset.destinationIdentity, 4, spec.destinationIdentity ?? 0],
      [traceOffset.destinationId, 2, spec.destinationId ?? 0],
      [traceOffset.reason, 1, spec.reason],
      [traceOffset.flags, 1, spec.flags ?? 0],
      [traceOffset.ifindex, 4, spec.ifindex ?? 0],
      [traceOffset.ipTraceId, 8, spec.ipTraceId ?? 0n],
    ],
    spec.packet ?? noPacket,
  );
  if (spec.originalSource !== undefined) record.set(addressOf(spec.originalSource), traceOffset.originalIP);
  return record;
}

export function buildVerdict(
  spec: EventSpec & {
    readonly remoteIdentity?: number;
    /** Below 0: minus the drop code; above: the proxy port. */
    readonly verdict: number;
    readonly flags: number;
    readonly protocol?: number;
    readonly destinationPort?: number;
    readonly authType?: number;
    readonly cookie?: number;
  },
): Uint8Array {
  const record = buildRecord(
    48,
    [
      ...headerFields(EventType.policyVerdict, 0, 1, spec),
      [verdictOffset.remoteIdentity, 4, spec.remoteIdentity ?? 0],
      [verdictOffset.verdict, 4, spec.verdict >>> 0],
      [verdictOffset.protocol, 1, spec.protocol ?? 6],
      [verdictOffset.flags, 1, spec.flags],
      [verdictOffset.authType, 1, spec.authType ?? 0],
      [verdictOffset.cookie, 4, spec.cookie ?? 0],
    ],
    spec.packet ?? noPacket,
  );
  new DataView(record.buffer).setUint16(verdictOffset.destinationPort, spec.destinationPort ?? 0);
  return record;
}

export function buildCapture(spec: EventSpec & { readonly point: number; readonly argument1?: number }): Uint8Array {
  return buildRecord(
    32,
    [...headerFields(EventType.capture, spec.point, 0, spec), [captureOffset.argument1, 4, spec.argument1 ?? 0]],
    spec.packet ?? noPacket,
  );
}

export function buildSock(spec: {
  readonly timeNs?: number;
  readonly point: number;
  readonly destination: string;
  readonly port: number;
  readonly protocol: number;
  readonly socketCookie: bigint;
  readonly cgroupId: bigint;
}): Uint8Array {
  const address = addressOf(spec.destination);
  const record = buildRecord(
    sockOffset.end,
    [
      [headerOffset.timeNs, 8, BigInt(spec.timeNs ?? 1_000_000_000)],
      [headerOffset.type, 1, EventType.traceSock],
      [sockOffset.point, 1, spec.point],
      [sockOffset.port, 2, spec.port],
      [sockOffset.socketCookie, 8, spec.socketCookie],
      [sockOffset.cgroupId, 8, spec.cgroupId],
      [sockOffset.protocol, 1, spec.protocol],
      [sockOffset.flags, 1, address.length === 4 ? 0 : 1],
    ],
    noPacket,
  );
  record.set(address, sockOffset.destination);
  return record;
}

export function buildDebug(spec: {
  readonly timeNs?: number;
  readonly message: number;
  readonly reporter?: number;
  readonly hash?: number;
  readonly arguments?: readonly [number, number, number];
}): Uint8Array {
  const [argument1, argument2, argument3] = spec.arguments ?? [0, 0, 0];
  return buildRecord(
    debugOffset.end,
    [
      [headerOffset.timeNs, 8, BigInt(spec.timeNs ?? 1_000_000_000)],
      [headerOffset.type, 1, EventType.debug],
      [headerOffset.subType, 1, spec.message],
      [headerOffset.reporter, 2, spec.reporter ?? 0],
      [headerOffset.hash, 4, spec.hash ?? 0],
      [debugOffset.argument1, 4, argument1],
      [debugOffset.argument2, 4, argument2],
      [debugOffset.argument3, 4, argument3],
    ],
    noPacket,
  );
}

/** What the proxy of shop/web saw of default/client. */
export function buildL7(spec: Partial<L7Record> & { readonly type: number; readonly message: Layer7["message"] }): Uint8Array {
  const { type, message, ...rest } = spec;
  return encodeL7Record({
    timeNs: 1_000_000_000,
    reporter: 22,
    client: { address: addressOf("10.0.0.1"), port: 40_000, identity: 1001, endpointId: 11 },
    server: { address: addressOf("10.0.0.2"), port: 80, identity: 1002, endpointId: 22 },
    transport: message.protocol === "dns" ? "UDP" : "TCP",
    verdict: Verdict.forwarded,
    direction: TrafficDirection.ingress,
    proxyPort: 10_001,
    layer7: { type, latencyNs: type === L7Type.response ? 5_000_000n : 0n, traceId: "4bf92f3577b34da6", message },
    ...rest,
  });
}

export const sampleHttp = {
  protocol: "http",
  code: 0,
  method: "GET",
  url: "http://web.shop/page/1?q=x",
  version: "HTTP/1.1",
  headers: [{ key: "X-Tenant", value: "blue" }],
} as const;

export const sampleDns = {
  protocol: "dns",
  query: "www.example.com.",
  ips: ["192.0.2.7"],
  ttl: 30,
  cnames: ["edge.example.net."],
  observationSource: "proxy",
  rcode: 0,
  qtypes: ["A"],
  rrtypes: ["A"],
} as const;

export const sampleKafka = {
  protocol: "kafka",
  errorCode: -1,
  apiVersion: 3,
  apiKey: "produce",
  correlationId: 9,
  topic: "orders",
} as const;

/**
 * One event of each kind, in the order of their numbers, event n at n seconds. Fixtures of the Observer API name them by number:
 * a new one goes to the end.
 */
export function sampleEvents(): Uint8Array[] {
  const tcp = (flags: number) => ({ sourcePort: 40_000, destinationPort: 80, flags });
  const syn = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", tcp: tcp(0x02) });
  const answer = { sourcePort: 80, destinationPort: 40_000, flags: 0x12 };
  const synAck6 = buildPacket({ source: "fd00::2", destination: "fd00::1", tcp: answer });
  const query = buildPacket({ source: "192.0.2.1", destination: "1.1.1.1", udp: { sourcePort: 5353, destinationPort: 53 } });
  const ping6 = buildPacket({ source: "fd00::1", destination: "fd00::2", icmp: { type: 128, code: 0 } });
  const fromWorld = buildPacket({ source: "198.51.100.9", destination: "10.0.0.2", tcp: { ...tcp(0x02), sourcePort: 555 } });
  const toWeb = { reporter: 11, sourceIdentity: 1001, destinationIdentity: 1002, destinationId: 22, ifindex: 12 };
  const events: ReadonlyArray<(timeNs: number) => Uint8Array> = [
    (timeNs) => buildTrace({ timeNs, point: 0, reason: 0, ...toWeb, packet: syn }),
    (timeNs) => buildDrop({ timeNs, reason: 133, ...toWeb, file: 1, line: 77, packet: syn }),
    (timeNs) => buildVerdict({ timeNs, reporter: 22, remoteIdentity: 1001, verdict: 0, flags: 1 | (2 << 3), cookie: 9, packet: syn }),
    (timeNs) => buildTrace({ timeNs, point: 0, reason: 2, reporter: 11, sourceIdentity: 1002, destinationIdentity: 1001, packet: synAck6 }),
    (timeNs) =>
      buildTrace({ timeNs, point: 11, reason: 0x80, reporter: 11, sourceIdentity: 1001, originalSource: "10.0.0.1", packet: query }),
    (timeNs) => buildTrace({ timeNs, point: 5, reason: 5, reporter: 11, packet: ping6, ipTraceId: 77n }),
    (timeNs) => buildL7({ timeNs, type: L7Type.request, message: sampleHttp }),
    (timeNs) => buildL7({ timeNs, type: L7Type.response, message: { ...sampleHttp, code: 503 } }),
    (timeNs) => buildL7({ timeNs, type: L7Type.response, reporter: 11, direction: TrafficDirection.egress, message: sampleDns }),
    (timeNs) => buildSock({ timeNs, point: 1, destination: "10.0.0.2", port: 80, protocol: 6, socketCookie: 5n, cgroupId: 6n }),
    (timeNs) => buildCapture({ timeNs, point: 4, argument1: 12, reporter: 11, packet: syn }),
    (timeNs) => buildDrop({ timeNs, reason: 181, reporter: 22, sourceIdentity: 2, destinationIdentity: 1002, packet: fromWorld }),
    (timeNs) => buildDebug({ timeNs, message: 5, reporter: 22, hash: 7, arguments: [1, 2, 3] }),
    (timeNs) => buildDebug({ timeNs, message: 200 }),
  ];
  return events.map((build, index) => build((index + 1) * 1e9));
}

/** One event of the agent of each kind, in the order of their numbers. */
export const sampleAgentEvents: readonly AgentEvent[] = [
  { kind: "agent-started" },
  { kind: "policy-updated", labels: ["k8s:io.cilium.k8s.policy.name=web"], revision: 7, ruleCount: 2 },
  { kind: "policy-deleted", labels: ["k8s:io.cilium.k8s.policy.name=web"], revision: 8, ruleCount: 0 },
  { kind: "endpoint-created", id: 22, labels: ["k8s:app=web"], podName: "web", namespace: "shop" },
  { kind: "endpoint-regenerated", id: 22, labels: ["k8s:app=web"], error: "" },
  { kind: "endpoint-regenerated", id: 22, labels: ["k8s:app=web"], error: "no memory" },
  { kind: "endpoint-deleted", id: 22, labels: ["k8s:app=web"], podName: "web", namespace: "shop" },
  { kind: "ipcache-upserted", cidr: "10.0.2.0/24", identity: 1003, oldIdentity: undefined, hostIp: "192.0.2.2", oldHostIp: "" },
  { kind: "ipcache-upserted", cidr: "10.0.2.0/24", identity: 1004, oldIdentity: 1003, hostIp: "192.0.2.3", oldHostIp: "192.0.2.2" },
  { kind: "ipcache-deleted", cidr: "10.0.2.0/24", identity: 1004, oldIdentity: 1004, hostIp: "", oldHostIp: "192.0.2.3" },
  { kind: "service-upserted", name: "web", namespace: "shop", address: "10.96.0.1", port: 80 },
];

/** Records as the kernel's ring buffer is drained: length, zero, record padded to 8. */
export function frameRecords(records: readonly Uint8Array[]): Uint8Array {
  const sizeBytes = records.reduce((sum, record) => sum + 8 + ((record.length + 7) & ~7), 0);
  const batch = new Uint8Array(sizeBytes);
  const view = new DataView(batch.buffer);
  let offset = 0;
  for (const record of records) {
    view.setUint32(offset, record.length, true);
    batch.set(record, offset + 8);
    offset += 8 + ((record.length + 7) & ~7);
  }
  return batch;
}

const sampleNodeLabels: readonly string[] = ["kubernetes.io/hostname=n1", "zone=a"];

export const samplePolicy: FlowPolicy = {
  name: "web",
  namespace: "default",
  labels: ["k8s:io.cilium.k8s.policy.name=web"],
  revision: 7n,
  kind: "CiliumNetworkPolicy",
};

export function sampleEndpoint(id: number, identity: number, namespace: string, podName: string): FlowEndpoint {
  return {
    id,
    identity,
    clusterName: "default",
    namespace,
    labels: [`k8s:app=${podName}`, `k8s:io.kubernetes.pod.namespace=${namespace}`],
    podName,
    workloads: [{ name: podName, kind: "Deployment" }],
  };
}

/**
 * Node n1 of cluster default, at boot on 1 January 2026 UTC: pods default/client (10.0.0.1, fd00::1) and shop/web (10.0.0.2, fd00::2).
 * The client knows 1.1.1.1 as one.example.com, and port 80 of web's address is that of the service shop/web-frontend.
 */
export function sampleContext(): ContextHistory & FlowContext {
  const context = new ContextHistory({
    nodeName: "n1",
    clusterName: "default",
    wallClockOffsetNs: () => 1_767_225_600_000_000_000n,
    nodeLabels: () => sampleNodeLabels,
    policyReasons: (cookie) => (cookie === 9 ? { policies: [samplePolicy], logs: ["allow web"] } : noReasons),
    interfaceName: (ifindex) => (ifindex === 12 ? "lxc1234" : undefined),
    fileName: (file) => (file === 1 ? "pod.c" : undefined),
    ipTraceOption: 136,
  });
  const client = sampleEndpoint(11, 1001, "default", "client");
  const web = sampleEndpoint(22, 1002, "shop", "web");
  context.setIdentity(1, ["reserved:host"], 0);
  context.setIdentity(2, ["reserved:world"], 0);
  context.setIdentity(1001, client.labels, 0);
  context.setIdentity(1002, web.labels, 0);
  context.setEndpoint(client, [addressOf("10.0.0.1"), addressOf("fd00::1")], 0);
  context.setEndpoint(web, [addressOf("10.0.0.2"), addressOf("fd00::2")], 0);
  context.setNames(11, addressOf("1.1.1.1"), ["one.example.com"], 0);
  context.setService(addressOf("10.0.0.2"), 80, { name: "web-frontend", namespace: "shop" }, 0);
  context.setPrefix({ address: addressOf("0.0.0.0"), length: 0 }, 2, 0);
  context.setPrefix({ address: addressOf("::"), length: 0 }, 2, 0);
  return context;
}

function addressOf(text: string): AddressBytes {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`${text} is no address`);
  return address;
}

function macOf(text: string): Uint8Array {
  return parseMac(text) ?? new Uint8Array(6);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
