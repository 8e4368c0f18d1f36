import { Descriptor } from "./descriptor.ts";
import { attempt, createKernelError, errnos } from "./failure.ts";
import type { BpfMap, RingBuffer } from "./kernel.ts";
import type { Handle, Native } from "./native.ts";
import { Readiness } from "./readiness.ts";

/** Programs may add records without waking us (BPF_RB_NO_WAKEUP): nobody sleeps longer than this without looking. */
const sleepMsMax = 1000;

export class NativeRingBuffer implements RingBuffer {
  readonly #native: Native;
  readonly #name: string;
  readonly #ring: Handle;
  readonly #descriptor: Descriptor;
  readonly #readiness: Readiness;

  constructor(native: Native, map: BpfMap) {
    this.#native = native;
    this.#name = map.name;
    const what = `ring buffer ${map.name}`;
    if (map.type !== "ringbuf") {
      throw createKernelError({ what, syscall: "mmap", errno: errnos.EINVAL, reason: `the map is a ${map.type}` });
    }
    using opened = new DisposableStack();
    this.#descriptor = opened.use(
      new Descriptor(
        native,
        attempt(what, () => native.duplicate(map.fd)),
        what,
      ),
    );
    this.#ring = opened.adopt(
      attempt(what, () => native.openRing(this.#descriptor.fd, map.maxEntries)),
      (ring) => native.closeRing(ring),
    );
    this.#readiness = opened.use(new Readiness(native, this.#descriptor.fd, what));
    opened.move();
  }

  drain(target: Uint8Array): { bytes: number; records: number; more: boolean } {
    return attempt(`ring buffer ${this.#name}: drain into ${target.length} bytes`, () => this.#native.drainRing(this.#ring, target));
  }

  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    while (!signal.aborted && !this.#readiness.closed && this.#native.ringPending(this.#ring) === 0) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) return;
      if (await this.#readiness.wait(Math.min(leftMs, sleepMsMax), signal)) return;
    }
  }

  [Symbol.dispose](): void {
    this.#readiness[Symbol.dispose]();
    this.#native.closeRing(this.#ring);
    this.#descriptor[Symbol.dispose]();
  }
}
