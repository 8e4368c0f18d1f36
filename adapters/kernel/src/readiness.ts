import { attempt, createKernelError, errnos } from "./failure.ts";
import type { Handle, Native } from "./native.ts";

/** Waiting, in Node's event loop, for a descriptor to become readable. One waiter at a time. */
export class Readiness implements Disposable {
  readonly #native: Native;
  readonly #what: string;
  #poll: Handle | undefined;
  #finish: ((readable: boolean) => void) | undefined;

  constructor(native: Native, fd: number, what: string) {
    this.#native = native;
    this.#what = what;
    this.#poll = attempt(what, () => native.openPoll(fd, () => this.#finish?.(true)));
  }

  get closed(): boolean {
    return this.#poll === undefined;
  }

  /** True when it is readable; false after the timeout, when aborted or closed. Without a timeout: as long as it takes. */
  async wait(timeoutMs: number | undefined, signal: AbortSignal): Promise<boolean> {
    const poll = this.#poll;
    if (signal.aborted || poll === undefined) return false;
    if (this.#finish !== undefined) {
      throw createKernelError({ what: this.#what, syscall: "epoll_wait", errno: errnos.EBUSY, reason: "somebody is waiting already" });
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const abort = (): void => resolve(false);
    const timer = timeoutMs === undefined ? undefined : setTimeout(abort, timeoutMs);
    signal.addEventListener("abort", abort, { once: true });
    this.#finish = resolve;
    try {
      attempt(this.#what, () => this.#native.armPoll(poll));
      return await promise;
    } finally {
      this.#finish = undefined;
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      if (this.#poll !== undefined) this.#native.disarmPoll(poll);
    }
  }

  /** Before the descriptor is closed. Who is waiting gets false. */
  [Symbol.dispose](): void {
    if (this.#poll === undefined) return;
    this.#native.closePoll(this.#poll);
    this.#poll = undefined;
    this.#finish?.(false);
  }
}
