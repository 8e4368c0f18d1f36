import { createKernelError, errnos } from "../failure.ts";
import type { RingBuffer } from "../kernel.ts";
import type { FakeProcess } from "./process.ts";
import type { RecordQueue } from "./record-queue.ts";

export class FakeRingBuffer implements RingBuffer {
  readonly #process: FakeProcess;
  readonly #name: string;
  readonly #records: RecordQueue;
  readonly #closed = new AbortController();

  constructor(process: FakeProcess, name: string, records: RecordQueue) {
    this.#process = process;
    this.#name = name;
    this.#records = records;
  }

  drain(target: Uint8Array): { bytes: number; records: number; more: boolean } {
    const what = `ring buffer ${this.#name}: drain into ${target.length} bytes`;
    this.#process.check("drain", what);
    if (this.#closed.signal.aborted) throw createKernelError({ what, syscall: "ring buffer", errno: errnos.EBADF });
    const drained = this.#records.drain(target);
    if (drained === undefined) throw createKernelError({ what, syscall: "ring buffer", errno: errnos.EMSGSIZE });
    return drained;
  }

  async wait(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const end = Promise.withResolvers<void>();
    const stop = (): void => end.resolve();
    const timer = setTimeout(stop, timeoutMs);
    const either = AbortSignal.any([signal, this.#closed.signal]);
    either.addEventListener("abort", stop, { once: true });
    if (either.aborted) stop();
    await Promise.race([end.promise, this.#records.filled()]);
    clearTimeout(timer);
    either.removeEventListener("abort", stop);
  }

  [Symbol.dispose](): void {
    this.#closed.abort();
  }
}
