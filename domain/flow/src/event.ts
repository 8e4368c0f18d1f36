import type { AddressBytes } from "@cilium-ts/net";
import type { FlowContext, FlowEndpoint, FlowService } from "./context/context.ts";
import type { EndpointResolver } from "./context/endpoint-resolver.ts";
import {
  captureOffset,
  debugOffset,
  dropOffset,
  EventType,
  headerOffset,
  L7Flag,
  l7Offset,
  lostOffset,
  NotifyFlag,
  packetOffsetOf,
  sockOffset,
  traceOffset,
  traceReasonEncrypted,
  traceReasonReply,
  traceReasonUnknown,
  VerdictFlag,
  verdictOffset,
} from "./event-layout.ts";
import { TrafficDirection, Verdict } from "./flow.ts";
import { decodeLayer7 } from "./layer7/l7-record.ts";
import type { Layer7 } from "./layer7/layer7.ts";
import { Packet } from "./packet.ts";

const noBytes = new DataView(new ArrayBuffer(0));
const noNames: readonly string[] = [];
/** Stands for an address that nobody has asked for yet. */
const unread: AddressBytes = new Uint8Array(0);
const geneveHeaderBytes = 8;
const vxlanHeaderBytes = 8;
const udpHeaderBytes = 8;

/** Where events stand, by their number: the ring, or a piece of history. */
export interface EventSource {
  readonly view: DataView;
  /** Where the record starts, and its length. */
  offsetOf(sequence: number): number;
  lengthOf(sequence: number): number;
  uuidOf(sequence: number): string;
  /** Undefined when no event of this source has it. */
  sequenceOfUuid(uuid: string): number | undefined;
}

/**
 * One raw event, looked at. The object is pointed at one event after another; what it tells is read from the bytes when asked for, so
 * that a filter pays for the fields it compares and for nothing else. Valid until the next append to the ring.
 */
export class EventView {
  readonly #resolver: EndpointResolver;
  /** Place in its source; 0 for a record that came from elsewhere. */
  sequence = 0;
  type = 0;
  subType = 0;
  #view: DataView = noBytes;
  #start = 0;
  #end = 0;
  #events: EventSource | undefined;
  #packetOffset = 0;
  #parsed = false;
  readonly #packet = new Packet();
  readonly #outer = new Packet();
  #hasOuter = false;
  #source: FlowEndpoint | undefined;
  #destination: FlowEndpoint | undefined;
  #resolved = false;
  #sourceAddress: AddressBytes | undefined = unread;
  #destinationAddress: AddressBytes | undefined = unread;
  #layer7: Layer7 | undefined;
  #layer7Read = false;

  constructor(resolver: EndpointResolver) {
    this.#resolver = resolver;
  }

  get context(): FlowContext {
    return this.#resolver.context;
  }

  /** Points at an event. False when its bytes are not those of a whole notification of a known kind. */
  load(events: EventSource, sequence: number): boolean {
    this.sequence = sequence;
    this.#events = events;
    const offset = events.offsetOf(sequence);
    return this.#point(events.view, offset, offset + events.lengthOf(sequence));
  }

  /** Points at a record that stands alone. */
  loadRecord(record: Uint8Array): boolean {
    this.sequence = 0;
    this.#events = undefined;
    return this.#point(new DataView(record.buffer, record.byteOffset, record.byteLength), 0, record.length);
  }

  /** Empty for a record that stands alone. */
  get uuid(): string {
    return this.#events?.uuidOf(this.sequence) ?? "";
  }

  hasUuid(uuid: string): boolean {
    return this.#events !== undefined && this.#events.sequenceOfUuid(uuid) === this.sequence;
  }

  get bytes(): DataView {
    return this.#view;
  }

  /** CLOCK_MONOTONIC ns. */
  get timeNs(): number {
    return this.#view.getUint32(this.#start + 4, true) * 0x1_0000_0000 + this.#view.getUint32(this.#start, true);
  }

  /** Endpoint that reports; 0: the host. */
  get reporter(): number {
    return this.#u16(headerOffset.reporter);
  }

  /** Bytes of the packet on the wire; 0 when the event is not about one. */
  get packetBytes(): number {
    return this.type <= EventType.policyVerdict && this.type !== EventType.debug ? this.#u32(headerOffset.originalLength) : 0;
  }

  get isLost(): boolean {
    return this.type === EventType.lost;
  }

  /** Of a marker of loss: how many, and where (`LostEventSource` is its subtype). */
  get lostCount(): number {
    return Number(this.#view.getBigUint64(this.#start + lostOffset.count, true));
  }

  /** A `Verdict` of the API. */
  get verdict(): number {
    switch (this.type) {
      case EventType.drop:
        return Verdict.dropped;
      case EventType.trace:
        return Verdict.forwarded;
      case EventType.policyVerdict: {
        const value = this.#view.getInt32(this.#start + verdictOffset.verdict, true);
        if (value < 0) return Verdict.dropped;
        if (value > 0) return Verdict.redirected;
        return (this.#verdictFlags & VerdictFlag.audited) !== 0 ? Verdict.audit : Verdict.forwarded;
      }
      case EventType.l7:
        return this.#u8(l7Offset.verdict);
      case EventType.traceSock:
        return this.sockXlatePoint % 2 === 1 ? Verdict.traced : Verdict.translated;
      default:
        return Verdict.unknown;
    }
  }

  /** Drop code; 0 when nothing was dropped. */
  get dropReason(): number {
    if (this.type === EventType.drop) return this.subType;
    if (this.type !== EventType.policyVerdict) return 0;
    const value = this.#view.getInt32(this.#start + verdictOffset.verdict, true);
    return value < 0 ? -value : 0;
  }

  /** Proxy port of a redirected connection. */
  get proxyPort(): number {
    if (this.type === EventType.l7) return this.#u16(l7Offset.proxyPort);
    if (this.type === EventType.policyVerdict) return Math.max(0, this.#view.getInt32(this.#start + verdictOffset.verdict, true));
    // To the proxy: its port, in network order, stands where the destination's id would be.
    if (this.type === EventType.trace && this.subType === 1) return this.#view.getUint16(this.#start + traceOffset.destinationId);
    // Before and after the proxy: the port, in network order, is the capture's first argument.
    if (this.type === EventType.capture && (this.subType === 8 || this.subType === 9)) {
      return this.#view.getUint16(this.#start + captureOffset.argument1);
    }
    return 0;
  }

  /** True, false, or undefined when the event does not tell. */
  get isReply(): boolean | undefined {
    if (this.type === EventType.l7) return (this.#u8(l7Offset.flags) & L7Flag.reply) !== 0;
    if (this.type === EventType.trace) return this.#traceReasonKnown ? this.#traceReason === traceReasonReply : undefined;
    if (this.type !== EventType.policyVerdict) return undefined;
    // Verdicts are told of a connection's first packet; one that was refused is no connection.
    return this.#view.getInt32(this.#start + verdictOffset.verdict, true) >= 0 ? false : undefined;
  }

  /** A `TraceReason` of the API: the datapath's number plus one, up to its "unknown". */
  get traceReason(): number {
    if (this.type !== EventType.trace) return 0;
    const reason = this.#traceReason;
    if (reason === traceReasonUnknown) return 0;
    return reason < traceReasonUnknown ? reason + 1 : reason;
  }

  get encrypted(): boolean {
    return this.type === EventType.trace && (this.#u8(traceOffset.reason) & traceReasonEncrypted) !== 0;
  }

  get policyMatchType(): number {
    return this.type === EventType.policyVerdict ? (this.#verdictFlags & VerdictFlag.matchMask) >> VerdictFlag.matchShift : 0;
  }

  get authType(): number {
    return this.type === EventType.policyVerdict ? this.#u8(verdictOffset.authType) : 0;
  }

  get policyCookie(): number {
    return this.type === EventType.policyVerdict ? this.#u32(verdictOffset.cookie) : 0;
  }

  get ifindex(): number {
    if (this.type === EventType.drop) return this.#u32(dropOffset.ifindex);
    if (this.type === EventType.trace) return this.#u32(traceOffset.ifindex);
    if (this.type === EventType.capture && this.subType === 4) return this.#u32(captureOffset.argument1);
    return 0;
  }

  get dropLine(): number {
    return this.type === EventType.drop ? this.#u16(dropOffset.line) : 0;
  }

  get dropFile(): number {
    return this.type === EventType.drop ? this.#u8(dropOffset.file) : 0;
  }

  get ipTraceId(): bigint {
    if (this.type === EventType.drop && this.#packetOffset >= dropOffset.ipTraceId + 8) return this.#u64(dropOffset.ipTraceId);
    if (this.type === EventType.trace && this.#packetOffset >= traceOffset.ipTraceId + 8) return this.#u64(traceOffset.ipTraceId);
    return 0n;
  }

  get sockXlatePoint(): number {
    return this.type === EventType.traceSock ? this.#u8(sockOffset.point) : 0;
  }

  get socketCookie(): bigint {
    return this.type === EventType.traceSock ? this.#u64(sockOffset.socketCookie) : 0n;
  }

  get cgroupId(): bigint {
    return this.type === EventType.traceSock ? this.#u64(sockOffset.cgroupId) : 0n;
  }

  get sockProtocol(): number {
    return this.#u8(sockOffset.protocol);
  }

  get sockPort(): number {
    return this.#u16(sockOffset.port);
  }

  get sockFamily(): 4 | 6 {
    return (this.#u8(sockOffset.flags) & 1) !== 0 ? 6 : 4;
  }

  /** What a proxy saw; undefined for events of the datapath, and for a record that is not whole. */
  get layer7(): Layer7 | undefined {
    if (this.type !== EventType.l7) return undefined;
    if (!this.#layer7Read) {
      this.#layer7Read = true;
      const start = this.#start + this.#packetOffset + this.#u16(headerOffset.capturedLength);
      const { buffer, byteOffset } = this.#view;
      this.#layer7 = start > this.#end ? undefined : decodeLayer7(new Uint8Array(buffer, byteOffset + start, this.#end - start));
    }
    return this.#layer7;
  }

  get isDebug(): boolean {
    return this.type === EventType.debug;
  }

  get hash(): number {
    return this.#u32(headerOffset.hash);
  }

  /** Of a debug message. */
  get debugArguments(): readonly [number, number, number] {
    return [this.#u32(debugOffset.argument1), this.#u32(debugOffset.argument2), this.#u32(debugOffset.argument3)];
  }

  /** A `TrafficDirection` of the API. */
  get direction(): number {
    if (this.type === EventType.l7) {
      const flags = this.#u8(l7Offset.flags);
      if ((flags & L7Flag.ingress) !== 0) return TrafficDirection.ingress;
      return (flags & L7Flag.egress) !== 0 ? TrafficDirection.egress : TrafficDirection.unknown;
    }
    if (this.type === EventType.policyVerdict) {
      return (this.#verdictFlags & VerdictFlag.directionMask) === VerdictFlag.ingress ? TrafficDirection.ingress : TrafficDirection.egress;
    }
    const reporter = this.reporter;
    if (reporter === 0) return TrafficDirection.unknown;
    if (this.type === EventType.drop) return this.source?.id === reporter ? TrafficDirection.egress : TrafficDirection.ingress;
    if (this.type !== EventType.trace || !this.#traceReasonKnown) return TrafficDirection.unknown;
    const fromReporter = this.source?.id === reporter;
    const reply = this.#traceReason === traceReasonReply;
    // Only what leaves gets another source.
    return fromReporter !== reply || this.originalSourceOffset >= 0 ? TrafficDirection.egress : TrafficDirection.ingress;
  }

  /** As the datapath tells it; 0 when it does not. */
  get sourceIdentity(): number {
    switch (this.type) {
      case EventType.drop:
      case EventType.trace:
      case EventType.l7:
        return this.#u32(dropOffset.sourceIdentity); // At the same place in all of them.
      case EventType.policyVerdict:
        return this.direction === TrafficDirection.ingress ? this.#u32(verdictOffset.remoteIdentity) : 0;
      default:
        return 0;
    }
  }

  get destinationIdentity(): number {
    switch (this.type) {
      case EventType.drop:
      case EventType.trace:
      case EventType.l7:
        return this.#u32(dropOffset.destinationIdentity);
      case EventType.policyVerdict:
        return this.direction === TrafficDirection.egress ? this.#u32(verdictOffset.remoteIdentity) : 0;
      default:
        return 0;
    }
  }

  /** The (inner) packet. */
  get packet(): Packet {
    if (!this.#parsed) this.#parse();
    return this.#packet;
  }

  /** What carries the packet, on the tunnel device. */
  get outerPacket(): Packet | undefined {
    if (!this.#parsed) this.#parse();
    return this.#hasOuter ? this.#outer : undefined;
  }

  get tunnelFlags(): number {
    return this.#notifyFlags & (NotifyFlag.vxlan | NotifyFlag.geneve);
  }

  /** The sender's address, as it was before translation. */
  get sourceAddress(): AddressBytes | undefined {
    if (this.#sourceAddress === unread) this.#sourceAddress = this.originalSource ?? this.headerSource;
    return this.#sourceAddress;
  }

  get headerSource(): AddressBytes | undefined {
    const { family, sourceOffset } = this.packet;
    return family === 0 ? undefined : this.#address(sourceOffset, family);
  }

  get destinationAddress(): AddressBytes | undefined {
    if (this.#destinationAddress === unread) this.#destinationAddress = this.#readDestinationAddress();
    return this.#destinationAddress;
  }

  #readDestinationAddress(): AddressBytes | undefined {
    if (this.type === EventType.traceSock) return this.#address(this.sockDestinationOffset, this.sockFamily);
    const { family, destinationOffset } = this.packet;
    return family === 0 ? undefined : this.#address(destinationOffset, family);
  }

  get originalSource(): AddressBytes | undefined {
    const offset = this.originalSourceOffset;
    return offset < 0 ? undefined : this.#address(offset, this.packetFamily);
  }

  /** Where the address before translation stands; -1 when the datapath tells none. */
  get originalSourceOffset(): number {
    if (this.type !== EventType.trace || this.#packetOffset < traceOffset.ipTraceId) return -1;
    const start = this.#start + traceOffset.originalIP;
    const words = this.packetFamily === 6 ? 4 : 1;
    for (let index = 0; index < words; index += 1) if (this.#view.getUint32(start + index * 4) !== 0) return start;
    return -1;
  }

  /** As the event says it, which knows also when the packet was not captured. */
  get packetFamily(): 4 | 6 {
    return (this.#notifyFlags & NotifyFlag.ipv6) !== 0 ? 6 : 4;
  }

  get sockDestinationOffset(): number {
    return this.#start + sockOffset.destination;
  }

  get source(): FlowEndpoint | undefined {
    if (!this.#resolved) this.#resolve();
    return this.#source;
  }

  get destination(): FlowEndpoint | undefined {
    if (!this.#resolved) this.#resolve();
    return this.#destination;
  }

  /** The names by which the other side looked the source up. */
  get sourceNames(): readonly string[] {
    return this.#namesOf(this.destination, this.sourceAddress);
  }

  get destinationNames(): readonly string[] {
    return this.#namesOf(this.source, this.destinationAddress);
  }

  get sourceService(): FlowService | undefined {
    return this.#serviceOf(this.sourceAddress, this.packet.sourcePort);
  }

  get destinationService(): FlowService | undefined {
    return this.#serviceOf(this.destinationAddress, this.type === EventType.traceSock ? this.sockPort : this.packet.destinationPort);
  }

  #namesOf(other: FlowEndpoint | undefined, address: AddressBytes | undefined): readonly string[] {
    if (other === undefined || other.id === 0 || address === undefined) return noNames;
    return this.context.namesOf?.(other.id, address, this.timeNs) ?? noNames;
  }

  #serviceOf(address: AddressBytes | undefined, port: number): FlowService | undefined {
    return address === undefined || port === 0 ? undefined : this.context.serviceOf?.(address, port, this.timeNs);
  }

  #point(view: DataView, start: number, end: number): boolean {
    this.#view = view;
    this.#start = start;
    this.#end = end;
    this.#parsed = false;
    this.#resolved = false;
    this.#sourceAddress = unread;
    this.#destinationAddress = unread;
    this.#layer7Read = false;
    this.#layer7 = undefined;
    this.#hasOuter = false;
    if (end - start < headerOffset.hash) {
      this.type = 0;
      this.subType = 0;
      return false;
    }
    this.type = view.getUint8(start + headerOffset.type);
    this.subType = view.getUint8(start + headerOffset.subType);
    const version = end - start > headerOffset.version ? view.getUint8(start + headerOffset.version) : 0;
    const packetOffset = packetOffsetOf(this.type, version);
    this.#packetOffset = packetOffset ?? 0;
    return packetOffset !== undefined && end - start >= packetOffset;
  }

  #parse(): void {
    this.#parsed = true;
    const start = this.#start + this.#packetOffset;
    if (this.type === EventType.traceSock || this.type === EventType.debug || this.isLost) {
      this.#packet.parse(this.#view, this.#end, this.#end, true);
      return;
    }
    const captured = this.#u16(headerOffset.capturedLength);
    const end = Math.min(this.#end, start + captured);
    const hasEthernet = !this.#fromL3Device;
    if (this.tunnelFlags === 0) {
      this.#packet.parse(this.#view, start, end, hasEthernet);
      return;
    }
    this.#outer.parse(this.#view, start, end, hasEthernet);
    this.#hasOuter = true;
    this.#packet.parse(this.#view, this.#innerStart(), end, true);
  }

  /** Behind the tunnel's own header, or the end when that is not there. */
  #innerStart(): number {
    const outer = this.#outer;
    if (outer.l4Offset < 0) return outer.end;
    const tunnelHeader = outer.l4Offset + udpHeaderBytes;
    if ((this.tunnelFlags & NotifyFlag.vxlan) !== 0) return Math.min(outer.end, tunnelHeader + vxlanHeaderBytes);
    if (tunnelHeader >= outer.end) return outer.end;
    const optionBytes = (this.#view.getUint8(tunnelHeader) & 0x3f) * 4;
    return Math.min(outer.end, tunnelHeader + geneveHeaderBytes + optionBytes);
  }

  #resolve(): void {
    this.#resolved = true;
    this.#source = undefined;
    this.#destination = undefined;
    const atNs = this.timeNs;
    const isVerdict = this.type === EventType.policyVerdict;
    const ingress = isVerdict && (this.#verdictFlags & VerdictFlag.directionMask) === VerdictFlag.ingress;
    // A verdict without a packet still knows its own side.
    const sourceId = this.type === EventType.l7 ? this.#u16(l7Offset.sourceId) : isVerdict && !ingress ? this.reporter : 0;
    const destinationId = ingress ? this.reporter : this.#destinationId;
    this.#source = this.#resolver.resolve(this.sourceAddress, sourceId, this.sourceIdentity, atNs);
    this.#destination = this.#resolver.resolve(this.destinationAddress, destinationId, this.destinationIdentity, atNs);
  }

  get #destinationId(): number {
    if (this.type === EventType.l7) return this.#u16(l7Offset.destinationId);
    if (this.type === EventType.drop) return this.#u32(dropOffset.destinationId);
    if (this.type === EventType.trace && this.subType !== 1) return this.#u16(traceOffset.destinationId);
    return 0;
  }

  get #verdictFlags(): number {
    return this.#u8(verdictOffset.flags);
  }

  get #notifyFlags(): number {
    if (this.type === EventType.trace) return this.#u8(traceOffset.flags);
    if (this.type === EventType.drop && this.#packetOffset >= dropOffset.flags + 4) return this.#u32(dropOffset.flags);
    return 0;
  }

  get #fromL3Device(): boolean {
    if (this.type === EventType.l7) return true;
    if (this.type === EventType.policyVerdict) return (this.#verdictFlags & VerdictFlag.l3Device) !== 0;
    return (this.#notifyFlags & NotifyFlag.l3Device) !== 0;
  }

  get #traceReason(): number {
    return this.#u8(traceOffset.reason) & ~traceReasonEncrypted;
  }

  get #traceReasonKnown(): boolean {
    return this.#traceReason !== traceReasonUnknown;
  }

  #address(offset: number, family: 4 | 6): AddressBytes {
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + offset, family === 4 ? 4 : 16);
  }

  #u8(offset: number): number {
    return this.#view.getUint8(this.#start + offset);
  }

  #u16(offset: number): number {
    return this.#view.getUint16(this.#start + offset, true);
  }

  #u32(offset: number): number {
    return this.#view.getUint32(this.#start + offset, true);
  }

  #u64(offset: number): bigint {
    return this.#view.getBigUint64(this.#start + offset, true);
  }
}
