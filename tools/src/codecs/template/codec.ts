/** A layout of the kernel as a TypeScript value and back. */
export interface Codec<Value> {
  readonly sizeBytes: number;
  /** Writes all `sizeBytes` (padding as zero) at the offset and returns the target. Throws RangeError for what does not fit. */
  encode(value: Value, target?: Uint8Array, offset?: number): Uint8Array;
  /** Reads at the offset; the value shares no memory with the bytes. Throws RangeError when they are too few. */
  decode(bytes: Uint8Array, offset?: number): Value;
}

if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1) {
  throw new Error("this machine is big-endian: the layouts here are those of little-endian machines, the only ones supported");
}

/** One 64-bit word and its bytes: the quickest way between bigint and bytes, and never held across a call. */
export const scratchBytes: Uint8Array = new Uint8Array(8);
export const scratchU64: BigUint64Array = new BigUint64Array(scratchBytes.buffer);
export const scratchI64: BigInt64Array = new BigInt64Array(scratchBytes.buffer);

export function loadScratch(bytes: Uint8Array, offset: number): void {
  scratchBytes[0] = bytes[offset] as number;
  scratchBytes[1] = bytes[offset + 1] as number;
  scratchBytes[2] = bytes[offset + 2] as number;
  scratchBytes[3] = bytes[offset + 3] as number;
  scratchBytes[4] = bytes[offset + 4] as number;
  scratchBytes[5] = bytes[offset + 5] as number;
  scratchBytes[6] = bytes[offset + 6] as number;
  scratchBytes[7] = bytes[offset + 7] as number;
}

export function readU64(bytes: Uint8Array, offset: number): bigint {
  loadScratch(bytes, offset);
  return scratchU64[0] as bigint;
}

export function readI64(bytes: Uint8Array, offset: number): bigint {
  loadScratch(bytes, offset);
  return scratchI64[0] as bigint;
}

/** Not slice(): a Buffer's shares its memory. For the few bytes of an address a loop is the quickest. */
export function copyBytes(bytes: Uint8Array, offset: number, sizeBytes: number): Uint8Array {
  const copy = new Uint8Array(sizeBytes);
  if (sizeBytes > 32) copy.set(bytes.subarray(offset, offset + sizeBytes));
  else for (let index = 0; index < sizeBytes; index += 1) copy[index] = bytes[offset + index] as number;
  return copy;
}

export function checkRange(name: string, bytes: Uint8Array, offset: number, sizeBytes: number): void {
  // Written so that a NaN or a fraction is refused too.
  if (offset >>> 0 === offset && offset + sizeBytes <= bytes.length) return;
  throw new RangeError(`${name} takes ${sizeBytes} bytes at ${offset}: there are only ${bytes.length}`);
}

export function refuseInteger(name: string, value: unknown, expected: string): never {
  throw new RangeError(`${name} is ${String(value)}, which is no ${expected} integer`);
}

export function refuseLength(name: string, value: Uint8Array, sizeBytes: number): never {
  throw new RangeError(`${name} has ${value.length} bytes, not ${sizeBytes}`);
}
