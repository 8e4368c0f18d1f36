/** UUID version 8 (RFC 9562): 72 bits that name the ring, then the event's sequence in the last 48. */
export function uuidPrefixOf(instance: Uint8Array): string {
  const hex = Array.from(instance, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(12, 15)}-8${hex.slice(15, 18)}-`;
}

export function uuidOf(prefix: string, sequence: number): string {
  return prefix + sequence.toString(16).padStart(12, "0");
}

/** Undefined when no event of the ring with this prefix can have it. */
export function sequenceOfUuid(prefix: string, uuid: string): number | undefined {
  const text = uuid.toLowerCase();
  if (text.length !== prefix.length + 12 || !text.startsWith(prefix)) return undefined;
  const digits = text.slice(prefix.length);
  return /^[0-9a-f]{12}$/.test(digits) ? Number.parseInt(digits, 16) : undefined;
}
