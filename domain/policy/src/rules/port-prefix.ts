import { type Protocol, protocols } from "./rule.ts";

/**
 * A protocol and a block of ports as one small number, for keys of maps. Bits 17 to 19 are the protocol's index; below them stands
 * the port prefix behind a marker bit: `1 << length | port >> (16 - length)`. So 1 is every port, 0x1_0050 port 80 alone.
 */
export type PortKey = number;

const protocolOfIndex: readonly Protocol[] = [
  protocols.any,
  protocols.icmp,
  protocols.tcp,
  protocols.udp,
  protocols.icmpv6,
  protocols.sctp,
];
/** By protocol number: 255 has no place. */
const indexOfProtocol = new Uint8Array(256).fill(255);
for (const [index, protocol] of protocolOfIndex.entries()) indexOfProtocol[protocol] = index;

/** Every protocol, every port. */
export const anyPortKey: PortKey = 1;

export function portKeyOf(protocol: Protocol, port: number, length: number): PortKey {
  const index = indexOfProtocol[protocol] ?? 255;
  if (index === 255) throw new RangeError(`protocol ${protocol} has no place in policy`);
  return (index << 17) | (1 << length) | (port >> (16 - length));
}

export function decodePortKey(key: PortKey): { protocol: Protocol; port: number; length: number } {
  const block = key & 0x1_ffff;
  const length = 31 - Math.clz32(block);
  const port = (block ^ (1 << length)) << (16 - length);
  return { protocol: protocolOfIndex[key >> 17] ?? protocols.any, port, length };
}

/** The next wider key, undefined for the widest: a port less one bit, then the protocol alone, then anything. */
export function widerPortKey(key: PortKey): PortKey | undefined {
  const block = key & 0x1_ffff;
  if (block > 1) return (key & ~0x1_ffff) | (block >> 1);
  return key === anyPortKey ? undefined : anyPortKey;
}

/** The fewest blocks that are exactly the ports from first to last, at most 30. Lengths in bits, 0 (all) to 16 (one port). */
export function portBlocks(first: number, last: number): { port: number; length: number }[] {
  const blocks: { port: number; length: number }[] = [];
  let port = first;
  while (port <= last) {
    let bits = 0;
    while (bits < 16 && (port & ((2 << bits) - 1)) === 0 && port + (2 << bits) - 1 <= last) bits += 1;
    blocks.push({ port, length: 16 - bits });
    port += 1 << bits;
  }
  return blocks;
}
