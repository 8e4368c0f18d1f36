import { formatAddress } from "@cilium-ts/net";

const hexOfByte: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** The address that stands in a packet, as text. */
export function addressText(view: DataView, offset: number, family: 4 | 6): string {
  if (family === 6) return formatAddress(new Uint8Array(view.buffer, view.byteOffset + offset, 16));
  const word = view.getUint32(offset);
  return `${word >>> 24}.${(word >>> 16) & 0xff}.${(word >>> 8) & 0xff}.${word & 0xff}`;
}

export function macText(view: DataView, offset: number): string {
  const at = (index: number): string => hexOfByte[view.getUint8(offset + index)] ?? "";
  return `${at(0)}:${at(1)}:${at(2)}:${at(3)}:${at(4)}:${at(5)}`;
}
