import { malformed, unacceptable } from "./errors.ts";
import { decodeAttributes, fixedPart } from "./message-reader.ts";
import type { MessageWriter } from "./message-writer.ts";
import { addressFamily, linkAttribute, linkFlag, linkInfoAttribute, skipStatistics, vethAttribute, vxlanAttribute } from "./wire.ts";

/** A network interface as the kernel shows it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** `veth`, `bridge`, `vxlan`, …; "" for hardware and the loopback. */
  readonly kind: string;
  /** 6 bytes on Ethernet, none where the link has no such address. */
  readonly mac: Uint8Array;
  readonly mtu: number;
  /** Switched on (IFF_UP). */
  readonly up: boolean;
  /** It has a carrier: for a veth, the peer is up too. */
  readonly running: boolean;
  readonly loopback: boolean;
  /** Neighbours are asked for (no IFF_NOARP). Without it, whatever is on the link has the link's own MAC. */
  readonly arp: boolean;
  /** The bridge or bond that it is a port of. */
  readonly masterIndex: number | undefined;
  /** A veth's peer, or what a link is stacked on: an index in the namespace below. */
  readonly peerIndex: number | undefined;
  /** This namespace's number for the one that the peer is in; undefined: the same namespace. */
  readonly peerNamespaceId: number | undefined;
  readonly alias: string;
}

/** By name or by index. */
export type LinkReference = string | number;

interface LinkSettings {
  readonly mac?: Uint8Array | undefined;
  readonly mtu?: number | undefined;
}

export interface NewLink extends LinkSettings {
  readonly name: string;
  readonly up?: boolean | undefined;
}

/**
 * The other end of a veth pair, created where it belongs and with its name. It is down: the kernel takes no pair whose peer is to be
 * up (ENOTCONN), because that is switched on before the two know each other.
 */
export interface NewPeer extends LinkSettings {
  readonly name: string;
  /** The peer's namespace as an open descriptor, or as a path (`/run/netns/x`, `/proc/1/ns/net`); neither: here. */
  readonly namespaceFd?: number | undefined;
  readonly namespacePath?: string | undefined;
}

export interface NewVeth extends NewLink {
  readonly peer: NewPeer;
}

/**
 * A tunnel device in external mode: where a packet goes and with which number, its metadata says, which a BPF program sets and reads.
 * One for each port in a namespace.
 */
export interface NewVxlan extends NewLink {
  readonly external: true;
  /** UDP, on both sides. */
  readonly port: number;
}

export interface LinkChange extends LinkSettings {
  readonly up?: boolean | undefined;
  readonly arp?: boolean | undefined;
  /** null: a port of nothing. */
  readonly masterIndex?: number | null | undefined;
  /** At most 255 bytes; "" takes it away. */
  readonly alias?: string | undefined;
}

/** ifinfomsg. */
const fixedSizeBytes = 16;
const nameSizeBytesMax = 15;
const aliasSizeBytesMax = 255;

export function describeLink(reference: LinkReference): string {
  return typeof reference === "number" ? `link #${reference}` : `link ${reference}`;
}

/** Throws where the kernel would refuse the name, or would take a part of it. */
export function checkLinkName(operation: string, name: string): void {
  const sizeBytes = Buffer.byteLength(name);
  if (sizeBytes >= 1 && sizeBytes <= nameSizeBytesMax && !/[/:\s]/.test(name) && !name.includes("\0") && name !== "." && name !== "..")
    return;
  throw unacceptable(operation, `link ${JSON.stringify(name)}`, "a name has 1 to 15 bytes, without white space, / and :");
}

export function checkNewLink(operation: string, link: NewLink): void {
  checkLinkName(operation, link.name);
  checkSettings(operation, describeLink(link.name), link);
}

export function checkNewVeth(operation: string, link: NewVeth): void {
  checkNewLink(operation, link);
  checkLinkName(operation, link.peer.name);
  checkSettings(operation, `${describeLink(link.name)}: peer ${link.peer.name}`, link.peer);
}

export function checkNewVxlan(operation: string, link: NewVxlan): void {
  checkNewLink(operation, link);
  if (Number.isInteger(link.port) && link.port >= 1 && link.port <= 65535) return;
  throw unacceptable(operation, describeLink(link.name), `a port is from 1 to 65535, not ${link.port}`);
}

export function checkLinkChange(operation: string, link: LinkReference, change: LinkChange): void {
  checkReference(operation, link);
  checkSettings(operation, describeLink(link), change);
}

export function checkReference(operation: string, link: LinkReference): void {
  if (typeof link === "string") checkLinkName(operation, link);
  else if (!Number.isInteger(link) || link < 1 || link > 0x7fff_ffff)
    throw unacceptable(operation, describeLink(link), "an index is a positive integer");
}

function checkSettings(operation: string, subject: string, settings: LinkSettings & { readonly alias?: string | undefined }): void {
  const { mac, mtu, alias } = settings;
  if (mac !== undefined && mac.length !== 6) throw unacceptable(operation, subject, `a MAC has 6 bytes, not ${mac.length}`);
  if (mac !== undefined && ((mac[0] ?? 0) & 1) === 1)
    throw unacceptable(operation, subject, "a MAC with the lowest bit of its first byte set is a multicast address");
  if (mac?.every((byte) => byte === 0)) throw unacceptable(operation, subject, "a MAC of zeros is none");
  if (mtu !== undefined && (!Number.isInteger(mtu) || mtu < 68 || mtu > 65535))
    throw unacceptable(operation, subject, `an MTU is from 68 to 65535, not ${mtu}`);
  if (alias !== undefined && (Buffer.byteLength(alias) > aliasSizeBytesMax || alias.includes("\0"))) {
    throw unacceptable(operation, subject, "an alias has at most 255 bytes and no zero byte");
  }
}

export function encodeNewLink(writer: MessageWriter, kind: string, link: NewLink): void {
  encodeFixed(writer, 0, link.up);
  writer.attributeText(linkAttribute.name, link.name);
  encodeSettings(writer, link);
  writer.nested(linkAttribute.linkInfo, () => writer.attributeText(linkInfoAttribute.kind, kind));
}

export function encodeNewVxlan(writer: MessageWriter, link: NewVxlan): void {
  encodeFixed(writer, 0, link.up);
  writer.attributeText(linkAttribute.name, link.name);
  encodeSettings(writer, link);
  writer.nested(linkAttribute.linkInfo, () => {
    writer.attributeText(linkInfoAttribute.kind, "vxlan");
    writer.nested(linkInfoAttribute.data, () => {
      writer.attributeU8(vxlanAttribute.collectMetadata, 1);
      writer.attributeU8(vxlanAttribute.learning, 0);
      writer.attribute(vxlanAttribute.port, Uint8Array.of(link.port >> 8, link.port & 0xff));
    });
  });
}

/** `namespaceFd` has been opened by the caller where the peer has a path. */
export function encodeNewVeth(writer: MessageWriter, link: NewVeth, namespaceFd: number | undefined): void {
  encodeFixed(writer, 0, link.up);
  writer.attributeText(linkAttribute.name, link.name);
  encodeSettings(writer, link);
  writer.nested(linkAttribute.linkInfo, () => {
    writer.attributeText(linkInfoAttribute.kind, "veth");
    writer.nested(linkInfoAttribute.data, () => {
      writer.nested(vethAttribute.peer, () => {
        encodeFixed(writer, 0, undefined);
        writer.attributeText(linkAttribute.name, link.peer.name);
        encodeSettings(writer, link.peer);
        if (namespaceFd !== undefined) writer.attributeU32(linkAttribute.namespaceFd, namespaceFd);
      });
    });
  });
}

export function encodeLinkReference(writer: MessageWriter, link: LinkReference, change: Pick<LinkChange, "up" | "arp"> = {}): void {
  encodeFixed(writer, typeof link === "number" ? link : 0, change.up, change.arp);
  if (typeof link === "string") writer.attributeText(linkAttribute.name, link);
}

export function encodeLinkChange(writer: MessageWriter, link: LinkReference, change: LinkChange): void {
  encodeLinkReference(writer, link, change);
  encodeSettings(writer, change);
  if (change.masterIndex !== undefined) writer.attributeU32(linkAttribute.master, change.masterIndex ?? 0);
}

export function encodeLinkQuery(writer: MessageWriter, link: LinkReference | undefined): void {
  encodeLinkReference(writer, link ?? 0);
  writer.attributeU32(linkAttribute.extendedMask, skipStatistics);
}

/** The flags, and which of them are meant. */
function encodeFixed(writer: MessageWriter, index: number, up: boolean | undefined, arp?: boolean): void {
  writer.u8(addressFamily.unspecified);
  writer.u8(0);
  writer.u16(0);
  writer.u32(index);
  writer.u32((up === true ? linkFlag.up : 0) | (arp === false ? linkFlag.noArp : 0));
  writer.u32((up === undefined ? 0 : linkFlag.up) | (arp === undefined ? 0 : linkFlag.noArp));
}

function encodeSettings(writer: MessageWriter, settings: LinkSettings & { readonly alias?: string | undefined }): void {
  if (settings.mac !== undefined) writer.attribute(linkAttribute.address, settings.mac);
  if (settings.mtu !== undefined) writer.attributeU32(linkAttribute.mtu, settings.mtu);
  if (settings.alias !== undefined) writer.attributeText(linkAttribute.alias, settings.alias);
}

export function decodeLink(payload: Uint8Array): Link {
  const fixed = fixedPart(payload, fixedSizeBytes);
  const attributes = decodeAttributes(payload.subarray(fixedSizeBytes));
  const flags = fixed.getUint32(8, true);
  const name = attributes.text(linkAttribute.name);
  if (name === undefined) throw malformed("a link without a name");
  return {
    index: fixed.getInt32(4, true),
    name,
    kind: attributes.nested(linkAttribute.linkInfo)?.text(linkInfoAttribute.kind) ?? "",
    mac: attributes.bytes(linkAttribute.address) ?? new Uint8Array(0),
    mtu: attributes.u32(linkAttribute.mtu) ?? 0,
    up: (flags & linkFlag.up) !== 0,
    running: (flags & linkFlag.lowerUp) !== 0,
    loopback: (flags & linkFlag.loopback) !== 0,
    arp: (flags & linkFlag.noArp) === 0,
    masterIndex: attributes.u32(linkAttribute.master),
    peerIndex: attributes.u32(linkAttribute.link),
    peerNamespaceId: attributes.u32(linkAttribute.linkNamespaceId),
    alias: attributes.text(linkAttribute.alias) ?? "",
  };
}
