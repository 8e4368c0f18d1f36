import { attempt, createKernelError, errnos, nativeFailure, toKernelError } from "./failure.ts";
import type { NetlinkFamily, NetlinkSocket } from "./kernel.ts";
import type { Native } from "./native.ts";
import { Readiness } from "./readiness.ts";

/** Of linux/netlink.h. */
const protocols: Readonly<Record<NetlinkFamily, number>> = { route: 0, sock_diag: 4, netfilter: 12, generic: 16 };

export interface NetlinkOptions {
  readonly family: NetlinkFamily;
  readonly groups?: readonly number[];
  readonly namespacePath?: string;
}

export class NativeNetlinkSocket implements NetlinkSocket {
  readonly #native: Native;
  readonly #what: string;
  readonly #listening: boolean;
  #fd: number | undefined;
  #readiness: Readiness | undefined;
  /** Ends when the calls before are answered; never rejects. */
  #queue: Promise<void> = Promise.resolve();

  constructor(native: Native, options: NetlinkOptions) {
    const { family, groups = [], namespacePath } = options;
    this.#native = native;
    this.#what = `netlink ${family}${namespacePath === undefined ? "" : ` in ${namespacePath}`}`;
    this.#listening = groups.length > 0;
    this.#fd = attempt(this.#what, () => native.openNetlink(namespacePath ?? null, protocols[family], Uint32Array.from(groups)));
  }

  async transact(messages: Uint8Array, acks: number): Promise<Uint8Array> {
    if (this.#listening) throw this.#mistake("a socket that listens to groups asks nothing: open another one");
    const run = this.#queue.then(() => this.#native.transact(this.#open(), messages, acks));
    this.#queue = run.then(
      () => {},
      () => {},
    );
    try {
      return await run;
    } catch (cause) {
      const timedOut = nativeFailure(cause)?.errno === errnos.ETIMEDOUT;
      throw toKernelError(cause, this.#what, timedOut ? `no answer within 5 s, ${acks} expected` : undefined);
    }
  }

  async *receive(signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    if (!this.#listening) throw this.#mistake("it has joined no group, so it will never hear anything");
    const fd = this.#open();
    if (this.#readiness !== undefined) throw this.#mistake("somebody is receiving already");
    using readiness = new Readiness(this.#native, fd, this.#what);
    this.#readiness = readiness;
    try {
      while (await readiness.wait(undefined, signal)) {
        const batch = this.#read(fd);
        if (batch !== undefined) yield batch;
      }
    } finally {
      this.#readiness = undefined;
    }
  }

  /** What is being answered is answered first. */
  [Symbol.dispose](): void {
    const fd = this.#fd;
    if (fd === undefined) return;
    this.#fd = undefined;
    this.#readiness?.[Symbol.dispose]();
    if (this.#listening) this.#native.close(fd);
    else void this.#queue.then(() => this.#native.close(fd));
  }

  /** Undefined when it was nothing; empty when the kernel says that messages were lost. */
  #read(fd: number): Uint8Array | undefined {
    try {
      const batch = this.#native.readNotifications(fd);
      return batch.length > 0 ? batch : undefined;
    } catch (cause) {
      if (nativeFailure(cause)?.errno === errnos.ENOBUFS) return new Uint8Array(0);
      throw toKernelError(cause, this.#what);
    }
  }

  #open(): number {
    if (this.#fd === undefined) throw createKernelError({ what: this.#what, syscall: "use", errno: errnos.EBADF, reason: "it was closed" });
    return this.#fd;
  }

  #mistake(reason: string): Error {
    return createKernelError({ what: this.#what, syscall: "use", errno: errnos.EINVAL, reason });
  }
}
