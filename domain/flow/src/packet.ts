/** What of a packet was understood last: that names it in a summary. */
export const PacketLayer = {
  none: 0,
  ethernet: 1,
  ipv4: 2,
  ipv6: 3,
  tcp: 4,
  udp: 5,
  sctp: 6,
  icmpv4: 7,
  icmpv6: 8,
  vrrp: 9,
  igmp: 10,
} as const;

const etherType = { ipv4: 0x0800, ipv6: 0x86dd, vlan: 0x8100, serviceVlan: 0x88a8 } as const;
export const Protocol = { icmp: 1, igmp: 2, tcp: 6, udp: 17, icmpv6: 58, vrrp: 112, sctp: 132 } as const;
const extension = { hopByHop: 0, routing: 43, fragment: 44, authentication: 51, destination: 60, mobility: 135 } as const;
const extensionCountMax = 8;
const vlanTagsMax = 2;

/**
 * Where the parts of a packet are. One object is filled again and again: parsing allocates nothing. Offsets count from the start of the
 * view; -1 says that the part is not there. A packet may be cut short anywhere: what is not whole is not there.
 */
export class Packet {
  layer: number = PacketLayer.none;
  etherOffset = -1;
  /** 4 or 6; 0 when it is no IP packet. */
  family: 0 | 4 | 6 = 0;
  sourceOffset = -1;
  destinationOffset = -1;
  /** IP protocol behind all extension headers. */
  protocol = -1;
  l4Offset = -1;
  sourcePort = 0;
  destinationPort = 0;
  /** Bits of `TcpFlag`. */
  tcpFlags = 0;
  icmpType = 0;
  icmpCode = 0;
  /** End of what was captured. */
  end = 0;

  /** The frame's bytes from `start` to `end`, beginning with Ethernet or (a device without link layer) with IP. Never throws. */
  parse(view: DataView, start: number, end: number, hasEthernet: boolean): void {
    this.#clear(end);
    if (!hasEthernet) {
      if (end - start < 1) return;
      const version = view.getUint8(start) >> 4;
      if (version === 4) this.#parseIPv4(view, start);
      else if (version === 6) this.#parseIPv6(view, start);
      return;
    }
    if (end - start < 14) return;
    this.layer = PacketLayer.ethernet;
    this.etherOffset = start;
    let position = start + 12;
    let type = view.getUint16(position);
    for (let tags = 0; tags < vlanTagsMax && (type === etherType.vlan || type === etherType.serviceVlan); tags += 1) {
      position += 4;
      if (end - position < 2) return;
      type = view.getUint16(position);
    }
    if (type === etherType.ipv4) this.#parseIPv4(view, position + 2);
    else if (type === etherType.ipv6) this.#parseIPv6(view, position + 2);
  }

  #clear(end: number): void {
    this.layer = PacketLayer.none;
    this.etherOffset = -1;
    this.family = 0;
    this.sourceOffset = -1;
    this.destinationOffset = -1;
    this.protocol = -1;
    this.l4Offset = -1;
    this.sourcePort = 0;
    this.destinationPort = 0;
    this.tcpFlags = 0;
    this.icmpType = 0;
    this.icmpCode = 0;
    this.end = end;
  }

  #parseIPv4(view: DataView, start: number): void {
    if (this.end - start < 20) return;
    const headerBytes = (view.getUint8(start) & 0x0f) * 4;
    if (headerBytes < 20) return;
    this.layer = PacketLayer.ipv4;
    this.family = 4;
    this.sourceOffset = start + 12;
    this.destinationOffset = start + 16;
    this.protocol = view.getUint8(start + 9);
    const fragmentOffset = view.getUint16(start + 6) & 0x1fff;
    if (fragmentOffset === 0) this.#parseL4(view, start + headerBytes);
  }

  #parseIPv6(view: DataView, start: number): void {
    if (this.end - start < 40) return;
    this.layer = PacketLayer.ipv6;
    this.family = 6;
    this.sourceOffset = start + 8;
    this.destinationOffset = start + 24;
    this.protocol = view.getUint8(start + 6);
    let position = start + 40;
    for (let count = 0; count < extensionCountMax; count += 1) {
      if (!isExtension(this.protocol)) {
        this.#parseL4(view, position);
        return;
      }
      if (this.end - position < 8) return;
      const kind = this.protocol;
      this.protocol = view.getUint8(position);
      if (kind === extension.fragment) {
        if (view.getUint16(position + 2) >> 3 !== 0) return; // The ports went with the first fragment.
        position += 8;
      } else if (kind === extension.authentication) position += (view.getUint8(position + 1) + 2) * 4;
      else position += (view.getUint8(position + 1) + 1) * 8;
    }
  }

  #parseL4(view: DataView, start: number): void {
    const available = this.end - start;
    switch (this.protocol) {
      case Protocol.tcp:
        if (available < 14) return;
        this.layer = PacketLayer.tcp;
        this.tcpFlags = view.getUint16(start + 12) & 0x1ff;
        break;
      case Protocol.udp:
      case Protocol.sctp:
        if (available < 8) return;
        this.layer = this.protocol === Protocol.udp ? PacketLayer.udp : PacketLayer.sctp;
        break;
      case Protocol.icmp:
      case Protocol.icmpv6:
        if (available < 4 || (this.protocol === Protocol.icmp) !== (this.family === 4)) return;
        this.layer = this.protocol === Protocol.icmp ? PacketLayer.icmpv4 : PacketLayer.icmpv6;
        this.icmpType = view.getUint8(start);
        this.icmpCode = view.getUint8(start + 1);
        break;
      case Protocol.vrrp:
        if (available < 8) return;
        this.layer = PacketLayer.vrrp;
        break;
      case Protocol.igmp:
        if (available < 8) return;
        this.layer = PacketLayer.igmp;
        break;
      default:
        return;
    }
    this.l4Offset = start;
    if (this.layer <= PacketLayer.sctp) {
      this.sourcePort = view.getUint16(start);
      this.destinationPort = view.getUint16(start + 2);
    }
  }
}

function isExtension(protocol: number): boolean {
  switch (protocol) {
    case extension.hopByHop:
    case extension.routing:
    case extension.fragment:
    case extension.authentication:
    case extension.destination:
    case extension.mobility:
      return true;
    default:
      return false;
  }
}
