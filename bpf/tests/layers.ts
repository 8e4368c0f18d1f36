import { type AddressBytes, parseAddress, parseMac } from "@cilium-ts/net";

/** One header of a packet. `build` gets everything inside it, as bytes and as layers, and the layer that it is in. */
export interface Layer {
  /** EtherType or IP protocol by which the enclosing header names this one. */
  readonly number: number | undefined;
  /** Of IP layers: what the checksums inside also cover. */
  readonly addresses?: readonly [source: AddressBytes, destination: AddressBytes];
  build(inside: Uint8Array, next: Layer | undefined, enclosing: Layer | undefined): Uint8Array;
}

/** The frame of layers from the outermost to the innermost; text is payload. Lengths, checksums and protocol numbers follow from what is inside. */
export function frame(...layers: ReadonlyArray<Layer | string>): Uint8Array {
  const whole = layers.map((layer) => (typeof layer === "string" ? payload(new TextEncoder().encode(layer)) : layer));
  let bytes: Uint8Array = new Uint8Array();
  for (let index = whole.length - 1; index >= 0; index -= 1) {
    const enclosing = whole.slice(0, index).findLast((layer) => layer.addresses !== undefined);
    bytes = whole[index]?.build(bytes, whole[index + 1], enclosing) ?? bytes;
  }
  return bytes;
}

export function payload(bytes: Uint8Array): Layer {
  return { number: undefined, build: () => bytes };
}

export function ethernet(source: string, destination: string, options: { type?: number } = {}): Layer {
  return {
    number: undefined,
    build(inside, next) {
      const header = new Uint8Array(14);
      header.set(macBytes(destination), 0);
      header.set(macBytes(source), 6);
      new DataView(header.buffer).setUint16(12, options.type ?? next?.number ?? 0);
      return concat(header, inside);
    },
  };
}

export interface Ipv4Options {
  readonly ttl?: number;
  readonly id?: number;
  /** Bytes before this fragment; a multiple of 8. */
  readonly offset?: number;
  readonly moreFragments?: boolean;
  /** Bytes of options, all "no operation", or these; a multiple of 4. */
  readonly optionBytes?: number | readonly number[];
  readonly protocol?: number;
  readonly version?: number;
  readonly headerWords?: number;
}

export function ipv4(source: string, destination: string, options: Ipv4Options = {}): Layer {
  const addresses = [addressBytes(source), addressBytes(destination)] as const;
  return {
    number: 0x0800,
    addresses,
    build(inside, next) {
      const { ttl = 64, id = 0, offset = 0, moreFragments = false, optionBytes = 0, version = 4 } = options;
      const optionList = typeof optionBytes === "number" ? new Array<number>(optionBytes).fill(1) : optionBytes;
      const header = Uint8Array.from([...new Array<number>(20).fill(0), ...optionList]);
      const view = new DataView(header.buffer);
      header[0] = (version << 4) | (options.headerWords ?? header.length / 4);
      view.setUint16(2, header.length + inside.length);
      view.setUint16(4, id);
      view.setUint16(6, (moreFragments ? 0x2000 : 0) | (offset / 8));
      header[8] = ttl;
      header[9] = options.protocol ?? next?.number ?? 59;
      header.set(addresses[0], 12);
      header.set(addresses[1], 16);
      view.setUint16(10, checksum(header));
      return concat(header, inside);
    },
  };
}

export interface Ipv6Options {
  readonly hopLimit?: number;
  readonly next?: number;
  readonly version?: number;
}

export function ipv6(source: string, destination: string, options: Ipv6Options = {}): Layer {
  const addresses = [addressBytes(source), addressBytes(destination)] as const;
  return {
    number: 0x86dd,
    addresses,
    build(inside, next) {
      const header = new Uint8Array(40);
      header[0] = (options.version ?? 6) << 4;
      new DataView(header.buffer).setUint16(4, inside.length);
      header[6] = options.next ?? next?.number ?? 59;
      header[7] = options.hopLimit ?? 64;
      header.set(addresses[0], 8);
      header.set(addresses[1], 24);
      return concat(header, inside);
    },
  };
}

const extensionNumbers = { "hop-by-hop": 0, routing: 43, authentication: 51, destination: 60 } as const;

/** An IPv6 extension header of 8 bytes (authentication: 12), or as long as its options are; 2 less than a multiple of 8. */
export function extension(
  kind: keyof typeof extensionNumbers,
  options: { readonly next?: number; readonly options?: readonly number[] } = {},
): Layer {
  return {
    number: extensionNumbers[kind],
    build(inside, next) {
      const shortest = new Array<number>(kind === "authentication" ? 10 : 6).fill(0);
      const header = Uint8Array.from([0, 0, ...(options.options ?? shortest)]);
      header[0] = options.next ?? next?.number ?? 59;
      header[1] = kind === "authentication" ? 1 : header.length / 8 - 1;
      return concat(header, inside);
    },
  };
}

/** The IPv6 fragment header. */
export function fragment(options: { id: number; offset?: number; more?: boolean; next?: number }): Layer {
  return {
    number: 44,
    build(inside, next) {
      const header = new Uint8Array(8);
      const view = new DataView(header.buffer);
      header[0] = options.next ?? next?.number ?? 59;
      view.setUint16(2, (options.offset ?? 0) | (options.more === true ? 1 : 0));
      view.setUint32(4, options.id);
      return concat(header, inside);
    },
  };
}

const tcpFlagBits: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, P: 8, A: 16 };

/** Flags as letters: `SA` is SYN and ACK. */
export function tcp(sourcePort: number, destinationPort: number, flags = "A"): Layer {
  return {
    number: 6,
    build(inside, _next, enclosing) {
      const header = new Uint8Array(20);
      const view = new DataView(header.buffer);
      view.setUint16(0, sourcePort);
      view.setUint16(2, destinationPort);
      header[12] = 5 << 4;
      header[13] = [...flags].reduce((bits, letter) => bits | (tcpFlagBits[letter] ?? 0), 0);
      view.setUint16(14, 65535);
      return withChecksum(concat(header, inside), 16, 6, enclosing);
    },
  };
}

export function udp(sourcePort: number, destinationPort: number): Layer {
  return {
    number: 17,
    build(inside, _next, enclosing) {
      const header = new Uint8Array(8);
      const view = new DataView(header.buffer);
      view.setUint16(0, sourcePort);
      view.setUint16(2, destinationPort);
      view.setUint16(4, header.length + inside.length);
      return withChecksum(concat(header, inside), 6, 17, enclosing);
    },
  };
}

/** An SCTP common header; its CRC is left zero, nobody here looks at it. */
export function sctp(sourcePort: number, destinationPort: number): Layer {
  return {
    number: 132,
    build(inside) {
      const header = new Uint8Array(12);
      const view = new DataView(header.buffer);
      view.setUint16(0, sourcePort);
      view.setUint16(2, destinationPort);
      return concat(header, inside);
    },
  };
}

/** ICMP within IPv4, ICMPv6 within IPv6: type, code and the four bytes after the checksum (id and sequence of an echo). */
export function icmp(family: 4 | 6, type: number, options: { code?: number; id?: number; sequence?: number } = {}): Layer {
  const number = family === 4 ? 1 : 58;
  return {
    number,
    build(inside, _next, enclosing) {
      const header = new Uint8Array(8);
      const view = new DataView(header.buffer);
      header[0] = type;
      header[1] = options.code ?? 0;
      view.setUint16(4, options.id ?? 0);
      view.setUint16(6, options.sequence ?? 0);
      const message = concat(header, inside);
      if (family === 6) return withChecksum(message, 2, number, enclosing);
      new DataView(message.buffer).setUint16(2, checksum(message));
      return message;
    },
  };
}

/** A packet as an ICMP error quotes it: only its first bytes. */
export function quote(sizeBytes: number, ...layers: ReadonlyArray<Layer | string>): Layer {
  return payload(frame(...layers).slice(0, sizeBytes));
}

export interface ArpFields {
  readonly operation: "request" | "reply";
  readonly senderMac: string;
  readonly senderIp: string;
  readonly targetMac?: string;
  readonly targetIp: string;
  readonly hardware?: number;
}

export function arp(fields: ArpFields): Layer {
  return {
    number: 0x0806,
    build() {
      const bytes = new Uint8Array(28);
      bytes.set([0, fields.hardware ?? 1, 0x08, 0x00, 6, 4, 0, fields.operation === "request" ? 1 : 2]);
      bytes.set(macBytes(fields.senderMac), 8);
      bytes.set(addressBytes(fields.senderIp), 14);
      bytes.set(macBytes(fields.targetMac ?? "00:00:00:00:00:00"), 18);
      bytes.set(addressBytes(fields.targetIp), 24);
      return bytes;
    },
  };
}

/** ICMPv6 type 135, with the sender's link address unless left out. */
export function neighbourSolicitation(target: string, sourceMac?: string): Layer {
  return neighbourMessage(135, 0, target, 1, sourceMac);
}

/** ICMPv6 type 136. Flag bits: 0x80 router, 0x40 solicited, 0x20 override. */
export function neighbourAdvertisement(target: string, targetMac: string, flags: number): Layer {
  return neighbourMessage(136, flags, target, 2, targetMac);
}

function neighbourMessage(type: number, flags: number, target: string, option: number, mac: string | undefined): Layer {
  const body = icmp(6, type, { id: flags << 8 });
  const inside = concat(addressBytes(target), mac === undefined ? new Uint8Array() : Uint8Array.of(option, 1, ...macBytes(mac)));
  return { number: 58, build: (_inside, next, enclosing) => body.build(inside, next, enclosing) };
}

export function macBytes(text: string): Uint8Array {
  const bytes = parseMac(text);
  if (bytes === undefined) throw new RangeError(`"${text}" is no MAC address`);
  return bytes;
}

export function addressBytes(text: string): AddressBytes {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw new RangeError(`"${text}" is no IP address`);
  return bytes;
}

/** Writes the checksum over the enclosing IP layer's pseudo header and the message. */
function withChecksum(message: Uint8Array, at: number, protocol: number, enclosing: Layer | undefined): Uint8Array {
  const [source, destination] = enclosing?.addresses ?? [new Uint8Array(), new Uint8Array()];
  const length = new Uint8Array(8);
  new DataView(length.buffer).setUint32(0, message.length);
  length[7] = protocol;
  new DataView(message.buffer).setUint16(at, checksum(concat(source, destination, length, message)));
  return message;
}

/** RFC 1071. Of bytes that hold a right checksum it is 0. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < bytes.length; index += 2) sum += ((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
