import { formatAddress, formatMac } from "@cilium-ts/net";
import type { FlowContext, FlowPolicy } from "./context.ts";
import type { EventView } from "./event.ts";
import { EventType, NotifyFlag } from "./event-layout.ts";
import {
  type Flow,
  type FlowIP,
  FlowType,
  IPVersion,
  type Layer4,
  TrafficDirection,
  TunnelProtocol,
  tracePointToEndpoint,
  Verdict,
} from "./flow.ts";
import { type Packet, PacketLayer, Protocol } from "./packet.ts";
import { summaryOf } from "./summary.ts";
import { wallClockOf } from "./wall-clock.ts";

const noPolicies: readonly FlowPolicy[] = [];
const noLabels: readonly string[] = [];

/** The event in full. Undefined when it is no flow: a debug message, or a marker of loss. */
export function decodeFlow(event: EventView): Flow | undefined {
  if (event.type === EventType.debug || event.isLost) return undefined;
  const { context, type, subType, ring } = event;
  const isSock = type === EventType.traceSock;
  const packet = event.packet;
  const ifindex = event.ifindex;
  const file = event.dropFile;
  const verdict = event.verdict;
  const direction = event.direction;
  const origins = event.policyCookie === 0 ? noPolicies : context.policyOrigins(event.policyCookie);
  const allowed = verdict === Verdict.forwarded || verdict === Verdict.redirected;
  const denied = verdict === Verdict.dropped;
  const ingress = direction === TrafficDirection.ingress;
  return {
    time: wallClockOf(event.timeNs, context.wallClockOffsetNs),
    uuid: ring === undefined ? "" : ring.uuidOf(event.sequence),
    verdict,
    dropReason: event.dropReason,
    authType: event.authType,
    ethernet: ethernetOf(event, packet),
    ip: isSock ? sockIP(event) : ipOf(event, packet),
    l4: isSock ? sockL4(event) : layer4Of(event.bytes, packet),
    tunnel: tunnelOf(event),
    source: event.source,
    destination: event.destination,
    type: isSock ? FlowType.sock : FlowType.l3l4,
    nodeName: nodeNameOf(context),
    nodeLabels: context.nodeLabels ?? noLabels,
    eventType: { type, subType: isSock ? 0 : subType },
    trafficDirection: direction,
    policyMatchType: event.policyMatchType,
    traceObservationPoint: type === EventType.trace ? (subType === 0 ? tracePointToEndpoint : subType) : 0,
    traceReason: event.traceReason,
    file: file === 0 ? undefined : { name: context.fileName(file) ?? `unknown(${file})`, line: event.dropLine },
    ipTraceId: event.ipTraceId,
    isReply: event.isReply,
    debugCapturePoint: type === EventType.capture ? subType : 0,
    interface: ifindex === 0 ? undefined : { index: ifindex, name: context.interfaceName(ifindex) ?? "" },
    proxyPort: event.proxyPort,
    sockXlatePoint: event.sockXlatePoint,
    socketCookie: event.socketCookie,
    cgroupId: event.cgroupId,
    summary: isSock ? sockProtocolName(event.sockProtocol) : summaryOf(packet),
    egressAllowedBy: allowed && !ingress ? origins : noPolicies,
    ingressAllowedBy: allowed && ingress ? origins : noPolicies,
    egressDeniedBy: denied && !ingress ? origins : noPolicies,
    ingressDeniedBy: denied && ingress ? origins : noPolicies,
  };
}

/** As flows carry it: always with the cluster. */
export function nodeNameOf(context: FlowContext): string {
  return `${context.clusterName}/${context.nodeName}`;
}

function ethernetOf(event: EventView, packet: Packet): Flow["ethernet"] {
  if (packet.etherOffset < 0) return undefined;
  const { bytes } = event;
  const mac = (offset: number): string => formatMac(new Uint8Array(bytes.buffer, bytes.byteOffset + offset, 6));
  return { source: mac(packet.etherOffset + 6), destination: mac(packet.etherOffset) };
}

function ipOf(event: EventView, packet: Packet): FlowIP | undefined {
  if (packet.family === 0) return undefined;
  const header = event.textOf(event.headerSource);
  const original = event.textOf(event.originalSource);
  const translated = original !== "" && original !== header;
  return {
    source: translated ? original : header,
    sourceXlated: translated ? header : "",
    destination: event.textOf(event.destinationAddress),
    version: packet.family === 4 ? IPVersion.v4 : IPVersion.v6,
    encrypted: event.encrypted,
  };
}

function sockIP(event: EventView): FlowIP {
  return {
    source: "",
    sourceXlated: "",
    destination: event.textOf(event.destinationAddress),
    version: event.sockFamily === 4 ? IPVersion.v4 : IPVersion.v6,
    encrypted: false,
  };
}

function sockL4(event: EventView): Layer4 | undefined {
  const protocol = sockProtocolName(event.sockProtocol);
  if (protocol === "TCP") return { protocol, sourcePort: 0, destinationPort: event.sockPort, flags: 0 };
  if (protocol === "UDP") return { protocol, sourcePort: 0, destinationPort: event.sockPort };
  return undefined;
}

function sockProtocolName(protocol: number): "TCP" | "UDP" | "" {
  if (protocol === Protocol.tcp || protocol === 1) return "TCP";
  return protocol === Protocol.udp || protocol === 2 ? "UDP" : "";
}

function tunnelOf(event: EventView): Flow["tunnel"] {
  const outer = event.outerPacket;
  if (outer === undefined) return undefined;
  const protocol = (event.tunnelFlags & NotifyFlag.vxlan) !== 0 ? TunnelProtocol.vxlan : TunnelProtocol.geneve;
  return { protocol, ip: outerIP(event, outer), l4: layer4Of(event.bytes, outer) };
}

function outerIP(event: EventView, outer: Packet): FlowIP | undefined {
  if (outer.family === 0) return undefined;
  const { bytes } = event;
  const size = outer.family === 4 ? 4 : 16;
  const text = (offset: number): string => formatAddress(new Uint8Array(bytes.buffer, bytes.byteOffset + offset, size));
  return {
    source: text(outer.sourceOffset),
    sourceXlated: "",
    destination: text(outer.destinationOffset),
    version: outer.family === 4 ? IPVersion.v4 : IPVersion.v6,
    encrypted: false,
  };
}

function layer4Of(bytes: DataView, packet: Packet): Layer4 | undefined {
  const { sourcePort, destinationPort, l4Offset } = packet;
  switch (packet.layer) {
    case PacketLayer.tcp:
      return { protocol: "TCP", sourcePort, destinationPort, flags: packet.tcpFlags };
    case PacketLayer.udp:
      return { protocol: "UDP", sourcePort, destinationPort };
    case PacketLayer.sctp:
      return { protocol: "SCTP", sourcePort, destinationPort };
    case PacketLayer.icmpv4:
      return { protocol: "ICMPv4", type: packet.icmpType, code: packet.icmpCode };
    case PacketLayer.icmpv6:
      return { protocol: "ICMPv6", type: packet.icmpType, code: packet.icmpCode };
    case PacketLayer.vrrp:
      return {
        protocol: "VRRP",
        type: bytes.getUint8(l4Offset) & 0x0f,
        vrid: bytes.getUint8(l4Offset + 1),
        priority: bytes.getUint8(l4Offset + 2),
      };
    case PacketLayer.igmp:
      return {
        protocol: "IGMP",
        type: bytes.getUint8(l4Offset),
        groupAddress: formatAddress(new Uint8Array(bytes.buffer, bytes.byteOffset + l4Offset + 4, 4)),
      };
    default:
      return undefined;
  }
}
