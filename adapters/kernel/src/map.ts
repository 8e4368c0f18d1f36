import { readFileSync } from "node:fs";
import { Descriptor, inspect } from "./descriptor.ts";
import { attempt, createKernelError, ENOTSUPP, errnos } from "./failure.ts";
import type { BpfMap, MapSpec, MapType } from "./kernel.ts";
import type { MapInfo, Native } from "./native.ts";
import { openPinOf, pinDescriptor } from "./pin.ts";
import { mapTypeNumbers, mapTypeOf, noPreallocFlag, updateFlags } from "./uapi.ts";

const batchSizeMax = 4096;

/** BPF_OBJ_NAME_LEN less its end: the kernel keeps no more of a name. */
const nameLengthMax = 15;

interface Chunk {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
}

export class NativeMap implements BpfMap {
  readonly id: number;
  readonly name: string;
  readonly type: MapType;
  readonly keySizeBytes: number;
  readonly valueSizeBytes: number;
  readonly maxEntries: number;
  readonly #native: Native;
  readonly #descriptor: Descriptor;
  /** What one lookup returns: the value, or one part for every CPU. */
  readonly #readSizeBytes: number;
  readonly #count = new Uint32Array(1);

  /** Takes the descriptor: it is closed when this fails. */
  constructor(native: Native, fd: number, name: string | undefined, possibleCpuCount: number) {
    const { info, type } = inspect(native, fd, `map ${name ?? fd}`, () => lookAtMap(native, fd));
    this.id = info.id;
    this.name = name ?? info.name;
    this.type = type;
    this.keySizeBytes = info.keySizeBytes;
    this.valueSizeBytes = info.valueSizeBytes;
    this.maxEntries = info.maxEntries;
    this.#native = native;
    this.#descriptor = new Descriptor(native, fd, `map ${this.name}`);
    const perCpu = type === "percpu_hash" || type === "percpu_array";
    this.#readSizeBytes = perCpu ? Math.ceil(info.valueSizeBytes / 8) * 8 * possibleCpuCount : info.valueSizeBytes;
  }

  get fd(): number {
    return this.#descriptor.fd;
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    this.#checkSize("key", key, this.keySizeBytes);
    const value = new Uint8Array(this.#readSizeBytes);
    const errno = this.#native.lookup(this.fd, key, value);
    if (errno === 0) return value;
    if (errno === errnos.ENOENT) return undefined;
    throw this.#failure("lookup", "bpf(MAP_LOOKUP_ELEM)", errno);
  }

  update(key: Uint8Array, value: Uint8Array, mode: "any" | "absent" | "present" = "any"): void {
    this.#checkSize("key", key, this.keySizeBytes);
    this.#checkSize("value", value, this.#readSizeBytes);
    const errno = this.#native.update(this.fd, key, value, updateFlags[mode]);
    if (errno !== 0) throw this.#failure("update", "bpf(MAP_UPDATE_ELEM)", errno);
  }

  delete(key: Uint8Array): boolean {
    this.#checkSize("key", key, this.keySizeBytes);
    const errno = this.#native.delete(this.fd, key);
    if (errno === 0) return true;
    if (errno === errnos.ENOENT) return false;
    throw this.#failure("delete", "bpf(MAP_DELETE_ELEM)", errno);
  }

  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): void {
    this.#checkSize(`${count} keys`, keys, count * this.keySizeBytes);
    this.#checkSize(`${count} values`, values, count * this.#readSizeBytes);
    if (count === 0) return;
    this.#count[0] = count;
    const errno = this.#native.updateBatch(this.fd, keys, values, this.#count);
    if (errno === ENOTSUPP) this.#updateOneByOne(keys, values, count);
    else if (errno !== 0) throw this.#failure("update a batch", "bpf(MAP_UPDATE_BATCH)", errno, this.#count[0]);
  }

  deleteBatch(keys: Uint8Array, count: number): number {
    this.#checkSize(`${count} keys`, keys, count * this.keySizeBytes);
    let deleted = 0;
    for (let index = 0; index < count; ) {
      this.#count[0] = count - index;
      const errno = this.#native.deleteBatch(this.fd, this.#slice(keys, this.keySizeBytes, index, count), this.#count);
      if (errno === ENOTSUPP) return deleted + this.#deleteOneByOne(keys, index, count);
      const done = this.#count[0];
      deleted += done;
      index += done;
      if (errno === errnos.ENOENT)
        index += 1; // The kernel stops at an absent key.
      else if (errno !== 0) throw this.#failure("delete a batch", "bpf(MAP_DELETE_BATCH)", errno, index);
    }
    return deleted;
  }

  dump(): { keys: Uint8Array; values: Uint8Array; count: number } {
    const chunks: Chunk[] = [];
    let count = 0;
    for (const chunk of this.#chunks()) {
      chunks.push(chunk);
      count += chunk.count;
      // Only a walk by keys can be sent back to its start, by deletions under it; a map without end must not take all memory.
      if (count > 2 * this.maxEntries + batchSizeMax) {
        throw this.#failure("dump", "bpf(MAP_LOOKUP_BATCH)", errnos.EBUSY, count, "it changes faster than it can be read");
      }
    }
    const keys = new Uint8Array(count * this.keySizeBytes);
    const values = new Uint8Array(count * this.#readSizeBytes);
    let index = 0;
    for (const chunk of chunks) {
      keys.set(chunk.keys.subarray(0, chunk.count * this.keySizeBytes), index * this.keySizeBytes);
      values.set(chunk.values.subarray(0, chunk.count * this.#readSizeBytes), index * this.#readSizeBytes);
      index += chunk.count;
    }
    return { keys, values, count };
  }

  pin(path: string): void {
    pinDescriptor(this.#native, this.fd, path, `map ${this.name}`);
  }

  memoryBytes(): number {
    const text = attempt(`map ${this.name}: memory`, () => readFileSync(`/proc/self/fdinfo/${this.fd}`, "latin1"));
    return Number(/^memlock:\s*(\d+)$/m.exec(text)?.[1] ?? 0);
  }

  [Symbol.dispose](): void {
    this.#descriptor[Symbol.dispose]();
  }

  *#chunks(): Generator<Chunk> {
    const size = Math.max(1, Math.min(batchSizeMax, this.maxEntries));
    // A hash's cursor is a u32, other types' is their last key.
    let cursor: Uint8Array | null = null;
    for (;;) {
      const keys = new Uint8Array(size * this.keySizeBytes);
      const values = new Uint8Array(size * this.#readSizeBytes);
      const next = new Uint8Array(Math.max(4, this.keySizeBytes));
      this.#count[0] = size;
      const errno = this.#native.lookupBatch(this.fd, cursor, next, keys, values, this.#count);
      if (errno === ENOTSUPP && cursor === null) return yield* this.#chunksByKey(size);
      if (errno !== 0 && errno !== errnos.ENOENT) throw this.#failure("dump", "bpf(MAP_LOOKUP_BATCH)", errno);
      const count: number = this.#count[0];
      if (count > 0) yield { keys, values, count };
      if (errno === errnos.ENOENT) return;
      cursor = next;
    }
  }

  /** For map types without batches: two calls an entry. */
  *#chunksByKey(size: number): Generator<Chunk> {
    let previous: Uint8Array | null = null;
    for (;;) {
      const keys = new Uint8Array(size * this.keySizeBytes);
      const values = new Uint8Array(size * this.#readSizeBytes);
      let count = 0;
      while (count < size) {
        const key: Uint8Array = keys.subarray(count * this.keySizeBytes, (count + 1) * this.keySizeBytes);
        const errno = this.#native.nextKey(this.fd, previous, key);
        if (errno === errnos.ENOENT) {
          if (count > 0) yield { keys, values, count };
          return;
        }
        if (errno !== 0) throw this.#failure("dump", "bpf(MAP_GET_NEXT_KEY)", errno);
        previous = key.slice();
        const value = values.subarray(count * this.#readSizeBytes, (count + 1) * this.#readSizeBytes);
        const found = this.#native.lookup(this.fd, key, value);
        if (found === 0) count += 1;
        else if (found !== errnos.ENOENT) throw this.#failure("dump", "bpf(MAP_LOOKUP_ELEM)", found);
      }
      yield { keys, values, count };
    }
  }

  #updateOneByOne(keys: Uint8Array, values: Uint8Array, count: number): void {
    for (let index = 0; index < count; index += 1) {
      const key = this.#slice(keys, this.keySizeBytes, index, index + 1);
      const errno = this.#native.update(this.fd, key, this.#slice(values, this.#readSizeBytes, index, index + 1), updateFlags.any);
      if (errno !== 0) throw this.#failure("update a batch", "bpf(MAP_UPDATE_ELEM)", errno, index);
    }
  }

  #deleteOneByOne(keys: Uint8Array, from: number, count: number): number {
    let deleted = 0;
    for (let index = from; index < count; index += 1) {
      const errno = this.#native.delete(this.fd, this.#slice(keys, this.keySizeBytes, index, index + 1));
      if (errno === 0) deleted += 1;
      else if (errno !== errnos.ENOENT) throw this.#failure("delete a batch", "bpf(MAP_DELETE_ELEM)", errno, index);
    }
    return deleted;
  }

  #slice(bytes: Uint8Array, sizeBytes: number, from: number, to: number): Uint8Array {
    return bytes.subarray(from * sizeBytes, to * sizeBytes);
  }

  #checkSize(what: string, bytes: Uint8Array, sizeBytes: number): void {
    if (bytes.length !== sizeBytes) throw new RangeError(`map ${this.name}: ${what} must have ${sizeBytes} bytes, not ${bytes.length}`);
  }

  #failure(operation: string, syscall: string, errno: number, done?: number, detail?: string): Error {
    const why = detail ?? (errno === errnos.E2BIG || errno === errnos.ENOSPC ? `it is full, with ${this.maxEntries} entries` : undefined);
    return createKernelError({
      what: `map ${this.name}: ${operation}`,
      syscall,
      errno,
      detail: why,
      ...(done === undefined ? {} : { done }),
    });
  }
}

function lookAtMap(native: Native, fd: number): { info: MapInfo; type: MapType } {
  const info = native.mapInfo(fd);
  const type = mapTypeOf(info.type);
  if (type !== undefined) return { info, type };
  const reason = `maps of type ${info.type} are not supported`;
  throw createKernelError({ what: `map ${info.name}`, syscall: "bpf(OBJ_GET_INFO_BY_FD)", errno: errnos.EINVAL, reason });
}

export function openPinnedMap(native: Native, path: string, possibleCpuCount: number): NativeMap {
  return new NativeMap(native, openPinOf(native, path, "map"), undefined, possibleCpuCount);
}

export function createMap(native: Native, spec: MapSpec, possibleCpuCount: number): NativeMap {
  using inner = spec.inner === undefined ? undefined : createMap(native, spec.inner, possibleCpuCount);
  const flags = (spec.flags ?? 0) | (spec.type === "lpm_trie" ? noPreallocFlag : 0);
  const what = `map ${spec.name}: create a ${spec.type} of ${spec.maxEntries} entries, ${spec.keySizeBytes} + ${spec.valueSizeBytes} bytes`;
  const name = spec.name.slice(0, nameLengthMax);
  const fd = attempt(what, () =>
    native.createMap(mapTypeNumbers[spec.type], name, spec.keySizeBytes, spec.valueSizeBytes, spec.maxEntries, flags, inner?.fd ?? -1),
  );
  return new NativeMap(native, fd, spec.name, possibleCpuCount);
}
