import { type AddressBytes, formatAddress, parseAddress } from "./address.ts";

/** Addresses that agree in their first bits. The host bits are zero. */
export interface Prefix {
  readonly address: AddressBytes;
  /** Bits: 0 to 32, or 0 to 128. */
  readonly length: number;
}

/** `10.0.0.0/8`, or an address alone (its full length). Host bits are cleared. Undefined when the text is neither. */
export function parsePrefix(text: string): Prefix | undefined {
  const [addressText = "", lengthText, extra] = text.split("/");
  const address = parseAddress(addressText);
  if (address === undefined || extra !== undefined) return undefined;
  if (lengthText === undefined) return { address, length: address.length * 8 };
  if (!/^(0|[1-9][0-9]{0,2})$/.test(lengthText)) return undefined;
  const length = Number(lengthText);
  if (length > address.length * 8) return undefined;
  return { address: maskAddress(address, length), length };
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatAddress(prefix.address)}/${prefix.length}`;
}

/** The address with all but the first `length` bits cleared. */
export function maskAddress(address: AddressBytes, length: number): AddressBytes {
  const masked = Uint8Array.from(address);
  for (let index = 0; index < masked.length; index += 1) {
    const kept = Math.min(8, Math.max(0, length - index * 8));
    masked[index] = (masked[index] ?? 0) & (0xff << (8 - kept));
  }
  return masked;
}

export function prefixContainsAddress(prefix: Prefix, address: AddressBytes): boolean {
  if (prefix.address.length !== address.length) return false;
  const whole = prefix.length >> 3;
  for (let index = 0; index < whole; index += 1) if (prefix.address[index] !== address[index]) return false;
  const rest = prefix.length & 7;
  if (rest === 0) return true;
  return (((prefix.address[whole] ?? 0) ^ (address[whole] ?? 0)) & (0xff << (8 - rest))) === 0;
}

export function prefixContains(outer: Prefix, inner: Prefix): boolean {
  return outer.length <= inner.length && prefixContainsAddress(outer, inner.address);
}
