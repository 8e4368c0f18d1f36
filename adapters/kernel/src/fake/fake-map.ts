import { createKernelError, ENOTSUPP, errnos } from "../failure.ts";
import type { BpfMap, MapSpec, MapType } from "../kernel.ts";
import type { FakeMachine, FakeObject } from "./machine.ts";
import { createMapStore, type MapStore } from "./map-store.ts";
import { type FakeOperation, type FakeProcess, injected } from "./process.ts";
import { RecordQueue } from "./record-queue.ts";

/** A map as the machine has it, whoever holds it. */
export class FakeMapState implements FakeObject {
  readonly kind = "map";
  readonly id: number;
  readonly spec: MapSpec;
  readonly store: MapStore;
  /** Only of ring buffers. */
  readonly records: RecordQueue | undefined;
  references = 0;

  constructor(machine: FakeMachine, spec: MapSpec, possibleCpuCount: number) {
    this.id = machine.nextId();
    this.spec = spec;
    this.store = createMapStore({ ...spec, valueSizeBytes: readSizeBytes(spec, possibleCpuCount) });
    this.records = spec.type === "ringbuf" ? new RecordQueue(spec.maxEntries) : undefined;
  }

  end(): void {}
}

function readSizeBytes(spec: MapSpec, possibleCpuCount: number): number {
  const perCpu = spec.type === "percpu_hash" || spec.type === "percpu_array";
  return perCpu ? Math.ceil(spec.valueSizeBytes / 8) * 8 * possibleCpuCount : spec.valueSizeBytes;
}

/** A process's view of a map, by one descriptor. */
export class FakeMap implements BpfMap {
  readonly name: string;
  readonly #process: FakeProcess;
  readonly #state: FakeMapState;
  readonly #readSizeBytes: number;
  readonly #fd: number;

  constructor(process: FakeProcess, state: FakeMapState, possibleCpuCount: number, name: string = state.spec.name.slice(0, 15)) {
    this.name = name;
    this.#process = process;
    this.#state = state;
    this.#readSizeBytes = readSizeBytes(state.spec, possibleCpuCount);
    this.#fd = process.open(state);
  }

  get id(): number {
    return this.#state.id;
  }

  get type(): MapType {
    return this.#state.spec.type;
  }

  get keySizeBytes(): number {
    return this.#state.spec.keySizeBytes;
  }

  get valueSizeBytes(): number {
    return this.#state.spec.valueSizeBytes;
  }

  get maxEntries(): number {
    return this.#state.spec.maxEntries;
  }

  /** A number that means something to this fake only. */
  get fd(): number {
    this.#process.at(this.#fd, "map", `map ${this.name}`);
    return this.#fd;
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    this.#begin("lookup");
    this.#checkSize("key", key, this.keySizeBytes);
    return this.#state.store.lookup(key);
  }

  update(key: Uint8Array, value: Uint8Array, mode: "any" | "absent" | "present" = "any"): void {
    this.#begin("update");
    this.#checkSize("key", key, this.keySizeBytes);
    this.#checkSize("value", value, this.#readSizeBytes);
    const errno = this.#store(key, value, mode);
    if (errno !== 0) throw this.#failure("update", errno);
  }

  delete(key: Uint8Array): boolean {
    this.#begin("delete");
    this.#checkSize("key", key, this.keySizeBytes);
    const errno = this.#state.store.delete(key);
    if (errno !== 0 && errno !== errnos.ENOENT) throw this.#failure("delete", errno);
    return errno === 0;
  }

  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): void {
    const failure = this.#process.takeFailure("updateBatch");
    this.#begin("updateBatch");
    this.#checkSize(`${count} keys`, keys, count * this.keySizeBytes);
    this.#checkSize(`${count} values`, values, count * this.#readSizeBytes);
    for (let index = 0; index < count; index += 1) {
      if (failure !== undefined && index === (failure.done ?? 0)) break;
      const errno = this.#store(part(keys, this.keySizeBytes, index), part(values, this.#readSizeBytes, index), "any");
      if (errno !== 0) throw this.#failure("update a batch", errno, index);
    }
    if (failure !== undefined) throw injected("updateBatch", `map ${this.name}: update a batch`, failure);
  }

  deleteBatch(keys: Uint8Array, count: number): number {
    this.#begin("deleteBatch");
    this.#checkSize(`${count} keys`, keys, count * this.keySizeBytes);
    let deleted = 0;
    for (let index = 0; index < count; index += 1) {
      const errno = this.#state.store.delete(part(keys, this.keySizeBytes, index));
      if (errno === 0) deleted += 1;
      else if (errno !== errnos.ENOENT) throw this.#failure("delete a batch", errno, index);
    }
    return deleted;
  }

  dump(): { keys: Uint8Array; values: Uint8Array; count: number } {
    this.#begin("dump");
    const entries = [...this.#state.store.entries()];
    return {
      keys: new Uint8Array(Buffer.concat(entries.map((entry) => entry.key))),
      values: new Uint8Array(Buffer.concat(entries.map((entry) => entry.value))),
      count: entries.length,
    };
  }

  pin(path: string): void {
    this.#process.check("pin", `map ${this.name}: pin at ${path}`);
    this.#process.machine.pin(this.#process.at(this.#fd, "map", `map ${this.name}`), path, `map ${this.name}`);
  }

  memoryBytes(): number {
    return this.maxEntries * (this.keySizeBytes + this.#readSizeBytes);
  }

  [Symbol.dispose](): void {
    this.#process.close(this.#fd);
  }

  /** Maps of maps and of programs take a descriptor and show an id. */
  #store(key: Uint8Array, value: Uint8Array, mode: "any" | "absent" | "present"): number {
    const { type, inner } = this.#state.spec;
    if (type !== "hash_of_maps" && type !== "array_of_maps" && type !== "prog_array") return this.#state.store.update(key, value, mode);
    const fd = new DataView(value.buffer, value.byteOffset, value.length).getUint32(0, true);
    const object = this.#process.at(fd, type === "prog_array" ? "prog" : "map", `map ${this.name}: update`);
    if (object instanceof FakeMapState && inner !== undefined && !sameShape(object.spec, inner)) return errnos.EINVAL;
    return this.#state.store.update(key, new Uint8Array(Uint32Array.of(object.id).buffer), mode);
  }

  #begin(operation: FakeOperation): void {
    this.#process.at(this.#fd, "map", `map ${this.name}`);
    this.#process.check(operation, `map ${this.name}: ${operation}`);
    if (this.#state.records !== undefined) throw this.#failure(operation, ENOTSUPP);
  }

  #checkSize(what: string, bytes: Uint8Array, sizeBytes: number): void {
    if (bytes.length !== sizeBytes) throw new RangeError(`map ${this.name}: ${what} must have ${sizeBytes} bytes, not ${bytes.length}`);
  }

  #failure(operation: string, errno: number, done = 0): Error {
    return createKernelError({ what: `map ${this.name}: ${operation}`, syscall: "bpf", errno, done });
  }
}

export function sameShape(a: MapSpec, b: MapSpec): boolean {
  return (
    a.type === b.type && a.keySizeBytes === b.keySizeBytes && a.valueSizeBytes === b.valueSizeBytes && (a.flags ?? 0) === (b.flags ?? 0)
  );
}

function part(bytes: Uint8Array, sizeBytes: number, index: number): Uint8Array {
  return bytes.subarray(index * sizeBytes, (index + 1) * sizeBytes);
}
