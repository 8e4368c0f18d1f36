import { addressText, macText } from "./address-text.ts";
import { type FlowContext, type FlowPolicy, noReasons } from "./context/context.ts";
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
import type { Layer7 } from "./layer7/layer7.ts";
import { layer7Summary } from "./layer7/layer7-summary.ts";
import { type Packet, PacketLayer, Protocol } from "./packet.ts";
import { summaryOf } from "./summary.ts";
import { wallClockOf } from "./wall-clock.ts";

const noPolicies: readonly FlowPolicy[] = [];
const noLabels: readonly string[] = [];

/** The event in full. Undefined when it is no flow: a debug message, a marker of loss, or a record of a proxy that is not whole. */
export function decodeFlow(event: EventView): Flow | undefined {
  if (event.isDebug || event.isLost) return undefined;
  const layer7 = event.layer7;
  if (event.type === EventType.l7 && layer7 === undefined) return undefined;
  const { context, type, subType } = event;
  const isSock = type === EventType.traceSock;
  const packet = event.packet;
  const { ifindex, ipTraceId } = event;
  const file = event.dropFile;
  const verdict = event.verdict;
  const direction = event.direction;
  const { policies, logs } = event.policyCookie === 0 ? noReasons : context.policyReasons(event.policyCookie, event.timeNs);
  const allowed = verdict === Verdict.forwarded || verdict === Verdict.redirected;
  const denied = verdict === Verdict.dropped || verdict === Verdict.audit;
  const ingress = direction === TrafficDirection.ingress;
  return {
    time: wallClockOf(event.timeNs, context.wallClockOffsetNs),
    uuid: event.uuid,
    verdict,
    dropReason: event.dropReason,
    authType: event.authType,
    ethernet: ethernetOf(event, packet),
    ip: isSock ? sockIP(event) : ipOf(event, packet),
    l4: isSock ? sockL4(event) : layer4Of(event.bytes, packet),
    tunnel: tunnelOf(event),
    source: event.source,
    destination: event.destination,
    sourceNames: event.sourceNames,
    destinationNames: event.destinationNames,
    sourceService: event.sourceService,
    destinationService: event.destinationService,
    type: isSock ? FlowType.sock : layer7 === undefined ? FlowType.l3l4 : FlowType.l7,
    layer7,
    nodeName: nodeNameOf(context),
    nodeLabels: context.nodeLabels ?? noLabels,
    eventType: { type, subType: isSock ? 0 : subType },
    trafficDirection: direction,
    policyMatchType: event.policyMatchType,
    traceObservationPoint: type === EventType.trace ? (subType === 0 ? tracePointToEndpoint : subType) : 0,
    traceReason: event.traceReason,
    file: file === 0 ? undefined : { name: context.fileName(file) ?? `unknown(${file})`, line: event.dropLine },
    ipTraceId,
    ipTraceOption: ipTraceId === 0n ? 0 : (context.ipTraceOption?.() ?? 0),
    isReply: event.isReply,
    debugCapturePoint: type === EventType.capture ? subType : 0,
    interface: ifindex === 0 ? undefined : { index: ifindex, name: context.interfaceName(ifindex) ?? "" },
    proxyPort: event.proxyPort,
    sockXlatePoint: event.sockXlatePoint,
    socketCookie: event.socketCookie,
    cgroupId: event.cgroupId,
    summary: summaryOfEvent(event, packet, layer7),
    egressAllowedBy: allowed && !ingress ? policies : noPolicies,
    ingressAllowedBy: allowed && ingress ? policies : noPolicies,
    egressDeniedBy: denied && !ingress ? policies : noPolicies,
    ingressDeniedBy: denied && ingress ? policies : noPolicies,
    policyLog: allowed || denied ? logs : noLabels,
  };
}

function summaryOfEvent(event: EventView, packet: Packet, layer7: Layer7 | undefined): string {
  if (layer7 !== undefined) return layer7Summary(layer7);
  return event.type === EventType.traceSock ? sockProtocolName(event.sockProtocol) : summaryOf(packet);
}

/** As flows carry it: always with the cluster. */
export function nodeNameOf(context: FlowContext): string {
  return `${context.clusterName}/${context.nodeName}`;
}

function ethernetOf(event: EventView, packet: Packet): Flow["ethernet"] {
  if (packet.etherOffset < 0) return undefined;
  const { bytes } = event;
  return { source: macText(bytes, packet.etherOffset + 6), destination: macText(bytes, packet.etherOffset) };
}

function ipOf(event: EventView, packet: Packet): FlowIP | undefined {
  const plain = packetIP(event.bytes, packet, event.encrypted);
  const originalOffset = event.originalSourceOffset;
  if (plain === undefined || originalOffset < 0) return plain;
  const original = addressText(event.bytes, originalOffset, event.packetFamily);
  return original === plain.source ? plain : { ...plain, source: original, sourceXlated: plain.source };
}

function packetIP(bytes: DataView, packet: Packet, encrypted: boolean): FlowIP | undefined {
  const { family } = packet;
  if (family === 0) return undefined;
  return {
    source: addressText(bytes, packet.sourceOffset, family),
    sourceXlated: "",
    destination: addressText(bytes, packet.destinationOffset, family),
    version: family === 4 ? IPVersion.v4 : IPVersion.v6,
    encrypted,
  };
}

function sockIP(event: EventView): FlowIP {
  const family = event.sockFamily;
  return {
    source: "",
    sourceXlated: "",
    destination: addressText(event.bytes, event.sockDestinationOffset, family),
    version: family === 4 ? IPVersion.v4 : IPVersion.v6,
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
  return { protocol, ip: packetIP(event.bytes, outer, false), l4: layer4Of(event.bytes, outer) };
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
        groupAddress: addressText(bytes, l4Offset + 4, 4),
      };
    default:
      return undefined;
  }
}
