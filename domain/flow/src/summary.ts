import { TcpFlag } from "./flow.ts";
import { type Packet, PacketLayer } from "./packet.ts";

interface IcmpName {
  readonly name: string;
  readonly codes?: readonly string[];
}

/** By type; names and their spelling are what users of Hubble grep for. */
const icmpv4Names: ReadonlyMap<number, IcmpName> = new Map<number, IcmpName>([
  [0, { name: "EchoReply" }],
  [
    3,
    {
      name: "DestinationUnreachable",
      codes: [
        "Net",
        "Host",
        "Protocol",
        "Port",
        "FragmentationNeeded",
        "SourceRoutingFailed",
        "NetUnknown",
        "HostUnknown",
        "SourceIsolated",
        "NetAdminProhibited",
        "HostAdminProhibited",
        "NetTOS",
        "HostTOS",
        "CommAdminProhibited",
        "HostPrecedence",
        "PrecedenceCutoff",
      ],
    },
  ],
  [4, { name: "SourceQuench" }],
  [5, { name: "Redirect", codes: ["Net", "Host", "TOS+Net", "TOS+Host"] }],
  [8, { name: "EchoRequest" }],
  [9, { name: "RouterAdvertisement" }],
  [10, { name: "RouterSolicitation" }],
  [11, { name: "TimeExceeded", codes: ["TTLExceeded", "FragmentReassemblyTimeExceeded"] }],
  [12, { name: "ParameterProblem", codes: ["PointerIndicatesError", "MissingOption", "BadLength"] }],
  [13, { name: "TimestampRequest" }],
  [14, { name: "TimestampReply" }],
  [15, { name: "InfoRequest" }],
  [16, { name: "InfoReply" }],
  [17, { name: "AddressMaskRequest" }],
  [18, { name: "AddressMaskReply" }],
]);

const icmpv6Names: ReadonlyMap<number, IcmpName> = new Map<number, IcmpName>([
  [
    1,
    {
      name: "DestinationUnreachable",
      codes: [
        "NoRouteToDst",
        "AdminProhibited",
        "BeyondScopeOfSrc",
        "AddressUnreachable",
        "PortUnreachable",
        "SrcAddressFailedPolicy",
        "RejectRouteToDst",
      ],
    },
  ],
  [2, { name: "PacketTooBig" }],
  [3, { name: "TimeExceeded", codes: ["HopLimitExceeded", "FragmentReassemblyTimeExceeded"] }],
  [4, { name: "ParameterProblem", codes: ["ErroneousHeaderField", "UnrecognizedNextHeader", "UnrecognizedIPv6Option"] }],
  [128, { name: "EchoRequest" }],
  [129, { name: "EchoReply" }],
  [130, { name: "MLDv1MulticastListenerQueryMessage" }],
  [131, { name: "MLDv1MulticastListenerReportMessage" }],
  [132, { name: "MLDv1MulticastListenerDoneMessage" }],
  [133, { name: "RouterSolicitation" }],
  [134, { name: "RouterAdvertisement" }],
  [135, { name: "NeighborSolicitation" }],
  [136, { name: "NeighborAdvertisement" }],
  [137, { name: "Redirect" }],
  [143, { name: "MLDv2MulticastListenerReportMessageV2" }],
]);

const layerNames = ["", "Ethernet", "IPv4", "IPv6", "TCP", "UDP", "SCTP", "ICMPv4", "ICMPv6", "VRRP", "IGMP"] as const;

/** The order in which flags are written, which is not that of their bits. */
const flagOrder = [
  ["SYN", TcpFlag.syn],
  ["ACK", TcpFlag.ack],
  ["RST", TcpFlag.rst],
  ["FIN", TcpFlag.fin],
  ["PSH", TcpFlag.psh],
  ["URG", TcpFlag.urg],
  ["ECE", TcpFlag.ece],
  ["CWR", TcpFlag.cwr],
  ["NS", TcpFlag.ns],
] as const;
const tcpSummaries: string[] = Array.from({ length: 512 }, (_, flags) => `TCP Flags: ${formatTcpFlags(flags)}`);

/** `TCP Flags: SYN, ACK`, `UDP`, `ICMPv4 EchoRequest`. Scripts read it. */
export function summaryOf(packet: Packet): string {
  switch (packet.layer) {
    case PacketLayer.tcp:
      return tcpSummaries[packet.tcpFlags] ?? "";
    case PacketLayer.icmpv4:
      return `ICMPv4 ${formatIcmp(icmpv4Names, packet.icmpType, packet.icmpCode)}`;
    case PacketLayer.icmpv6:
      return `ICMPv6 ${formatIcmp(icmpv6Names, packet.icmpType, packet.icmpCode)}`;
    default:
      return layerNames[packet.layer] ?? "";
  }
}

export function formatTcpFlags(flags: number): string {
  return flagOrder
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name)
    .join(", ");
}

/** `EchoRequest`; the number of a type that has no name. */
export function icmpTypeName(protocol: "ICMPv4" | "ICMPv6", type: number): string {
  return (protocol === "ICMPv4" ? icmpv4Names : icmpv6Names).get(type)?.name ?? String(type);
}

function formatIcmp(names: ReadonlyMap<number, IcmpName>, type: number, code: number): string {
  const known = names.get(type);
  if (known === undefined) return `${type}(${code})`;
  const codeName = known.codes?.[code];
  if (codeName !== undefined) return `${known.name}(${codeName})`;
  return code === 0 && known.codes === undefined ? known.name : `${known.name}(Code: ${code})`;
}
