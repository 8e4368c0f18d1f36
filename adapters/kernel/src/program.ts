import { Descriptor, inspect } from "./descriptor.ts";
import { attempt } from "./failure.ts";
import type { BpfProgram } from "./kernel.ts";
import type { Native } from "./native.ts";
import { openPinOf, pinDescriptor } from "./pin.ts";
import { programTypeName } from "./uapi.ts";

/** What a program may add to a packet in a test run. */
const packetGrowthMax = 4096;

type TestRun = Parameters<BpfProgram["testRun"]>[0];

export class NativeProgram implements BpfProgram {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly tag: string;
  readonly #native: Native;
  readonly #descriptor: Descriptor;

  /** Takes the descriptor: it is closed when this fails. */
  constructor(native: Native, fd: number, name: string | undefined) {
    const info = inspect(native, fd, `program ${name ?? fd}`, () => native.programInfo(fd));
    this.id = info.id;
    this.name = name ?? info.name;
    this.type = programTypeName(info.type);
    this.tag = info.tag;
    this.#native = native;
    this.#descriptor = new Descriptor(native, fd, `program ${this.name}`);
  }

  get fd(): number {
    return this.#descriptor.fd;
  }

  pin(path: string): void {
    pinDescriptor(this.#native, this.fd, path, `program ${this.name}`);
  }

  testRun({ packet, repeat = 1, context }: TestRun): ReturnType<BpfProgram["testRun"]> {
    const packetOut = new Uint8Array(packet.length + packetGrowthMax);
    const contextOut = new Uint8Array(context?.length ?? 0);
    const result = attempt(`program ${this.name}: test run with a packet of ${packet.length} bytes`, () =>
      this.#native.testRun(this.fd, packet, repeat, packetOut, context ?? null, context === undefined ? null : contextOut),
    );
    return {
      returnValue: result.returnValue,
      durationNs: result.durationNs,
      packet: packetOut.slice(0, result.packetSizeBytes),
      context: contextOut.subarray(0, result.contextSizeBytes),
    };
  }

  runSyscall(context: Uint8Array): number {
    return attempt(`program ${this.name}: run`, () => this.#native.testRun(this.fd, null, 0, null, context, null)).returnValue;
  }

  [Symbol.dispose](): void {
    this.#descriptor[Symbol.dispose]();
  }
}

export function openPinnedProgram(native: Native, path: string): NativeProgram {
  return new NativeProgram(native, openPinOf(native, path, "prog"), undefined);
}
