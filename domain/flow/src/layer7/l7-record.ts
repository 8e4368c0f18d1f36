import type { AddressBytes } from "@cilium-ts/net";
import { EventType, headerOffset, L7Flag, l7Offset } from "../event-layout.ts";
import { TrafficDirection } from "../flow.ts";
import { Protocol } from "../packet.ts";
import { L7Type, type Layer7 } from "./layer7.ts";
import { parseLayer7 } from "./parse-layer7.ts";

/** One end of a connection that a proxy stands in. */
export interface L7Party {
  readonly address: AddressBytes;
  readonly port: number;
  /** 0: not known. */
  readonly identity: number;
  /** Endpoint on this node; 0: none. */
  readonly endpointId: number;
}

/** What a proxy reports. Client and server stay who they are, whoever speaks. */
export interface L7Record {
  /** CLOCK_MONOTONIC ns. */
  readonly timeNs: number;
  /** Endpoint whose policy the proxy applies. */
  readonly reporter: number;
  readonly client: L7Party;
  readonly server: L7Party;
  readonly transport: "TCP" | "UDP" | "SCTP";
  /** A `Verdict`: forwarded, dropped, error or redirected. */
  readonly verdict: number;
  /** A `TrafficDirection`, that of the request as the reporter sees it. */
  readonly direction: number;
  readonly proxyPort: number;
  readonly layer7: Layer7;
}

const payloadBytesMax = 32_768;
const textLengthMax = 4_096;
const listCountMax = 100;
const ipv4HeaderBytes = 20;
const ipv6HeaderBytes = 40;
const portBytes = 20;

/** In the form of the ring: an answer has the server as its source, as its packets have. Texts and lists without end are cut. */
export function encodeL7Record(record: L7Record): Uint8Array {
  const { client, server, layer7 } = record;
  const isReply = layer7.type === L7Type.response;
  const [source, destination] = isReply ? [server, client] : [client, server];
  const packet = buildPacket(source, destination, record.transport);
  const payload = encodePayload(layer7);
  const bytes = new Uint8Array(l7Offset.end + packet.length + payload.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(headerOffset.timeNs, BigInt(Math.round(record.timeNs)), true);
  view.setUint8(headerOffset.type, EventType.l7);
  view.setUint16(headerOffset.reporter, record.reporter, true);
  view.setUint32(headerOffset.originalLength, packet.length, true);
  view.setUint16(headerOffset.capturedLength, packet.length, true);
  view.setUint32(l7Offset.sourceIdentity, source.identity, true);
  view.setUint32(l7Offset.destinationIdentity, destination.identity, true);
  view.setUint16(l7Offset.sourceId, source.endpointId, true);
  view.setUint16(l7Offset.destinationId, destination.endpointId, true);
  view.setUint8(l7Offset.verdict, record.verdict);
  const direction = record.direction === TrafficDirection.ingress ? L7Flag.ingress : L7Flag.egress;
  view.setUint8(l7Offset.flags, (record.direction === TrafficDirection.unknown ? 0 : direction) | (isReply ? L7Flag.reply : 0));
  view.setUint16(l7Offset.proxyPort, record.proxyPort, true);
  bytes.set(packet, l7Offset.end);
  bytes.set(payload, l7Offset.end + packet.length);
  return bytes;
}

/** Undefined when the bytes are no such record. */
export function decodeLayer7(payload: Uint8Array): Layer7 | undefined {
  try {
    return parseLayer7(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload)));
  } catch {
    return undefined;
  }
}

const encoder = new TextEncoder();

function encodePayload(layer7: Layer7): Uint8Array {
  const whole = JSON.stringify({ ...layer7, latencyNs: String(layer7.latencyNs) });
  if (whole.length <= textLengthMax) return encoder.encode(whole); // Nothing of it can be too long.
  const bytes = encoder.encode(JSON.stringify({ ...layer7, message: cut(layer7.message) }, bigintAsText));
  if (bytes.length <= payloadBytesMax) return bytes;
  // Many long headers, or names: what is left is what filters ask for first.
  return encoder.encode(JSON.stringify({ ...layer7, message: cut({ ...layer7.message, ...withoutLists }) }, bigintAsText));
}

const withoutLists = { headers: [], ips: [], cnames: [] };

function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

function cut(value: unknown): unknown {
  if (typeof value === "string") return value.slice(0, textLengthMax);
  if (Array.isArray(value)) return value.slice(0, listCountMax).map(cut);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, cut(member)]));
}

/** An IP packet of headers alone, so that whatever reads addresses and ports of events reads these too. */
function buildPacket(source: L7Party, destination: L7Party, transport: L7Record["transport"]): Uint8Array {
  const protocol = transport === "TCP" ? Protocol.tcp : transport === "UDP" ? Protocol.udp : Protocol.sctp;
  const isV4 = source.address.length === 4;
  const headerBytes = isV4 ? ipv4HeaderBytes : ipv6HeaderBytes;
  const packet = new Uint8Array(headerBytes + portBytes);
  const view = new DataView(packet.buffer);
  packet[0] = isV4 ? 0x45 : 0x60;
  packet[isV4 ? 9 : 6] = protocol;
  packet.set(source.address, isV4 ? 12 : 8);
  packet.set(destination.address, isV4 ? 16 : 24);
  view.setUint16(headerBytes, source.port);
  view.setUint16(headerBytes + 2, destination.port);
  return packet;
}
