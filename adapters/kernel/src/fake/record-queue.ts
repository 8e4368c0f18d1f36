const headerSizeBytes = 8;

/** The records of a ring buffer: as many as fit into its size, each with its header and padded to 8. */
export class RecordQueue {
  readonly #sizeBytesMax: number;
  #records: Uint8Array[] = [];
  #sizeBytes = 0;
  #filled = Promise.withResolvers<void>();

  constructor(sizeBytesMax: number) {
    this.#sizeBytesMax = sizeBytesMax;
  }

  /** False when it is full: the record is lost. */
  push(record: Uint8Array): boolean {
    const sizeBytes = paddedSizeBytes(record);
    if (this.#sizeBytes + sizeBytes >= this.#sizeBytesMax) return false;
    this.#records.push(record.slice());
    this.#sizeBytes += sizeBytes;
    this.#filled.resolve();
    return true;
  }

  /** Undefined when the first record does not fit into the whole target. */
  drain(target: Uint8Array): { bytes: number; records: number; more: boolean } | undefined {
    const view = new DataView(target.buffer, target.byteOffset, target.length);
    let bytes = 0;
    let records = 0;
    for (const record of this.#records) {
      const sizeBytes = paddedSizeBytes(record);
      if (bytes + sizeBytes > target.length) break;
      target.fill(0, bytes, bytes + sizeBytes);
      view.setUint32(bytes, record.length, true);
      target.set(record, bytes + headerSizeBytes);
      bytes += sizeBytes;
      records += 1;
    }
    const more = records < this.#records.length;
    if (more && records === 0) return undefined;
    this.#records = this.#records.slice(records);
    this.#sizeBytes -= bytes;
    if (this.#records.length === 0) this.#filled = Promise.withResolvers<void>();
    return { bytes, records, more };
  }

  /** Resolves when there is something to drain. */
  filled(): Promise<void> {
    return this.#filled.promise;
  }
}

function paddedSizeBytes(record: Uint8Array): number {
  return headerSizeBytes + Math.ceil(record.length / 8) * 8;
}
