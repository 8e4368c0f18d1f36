import { createKernelError, errnos } from "../failure.ts";
import type { NetlinkFamily, NetlinkSocket } from "../kernel.ts";
import type { FakeProcess } from "./process.ts";

export interface FakeNetlinkRequest {
  readonly family: NetlinkFamily;
  readonly namespacePath: string | undefined;
  readonly messages: Uint8Array;
  readonly acks: number;
}

/** Answers a request with whole netlink messages. */
export type FakeNetlinkResponder = (request: FakeNetlinkRequest) => Uint8Array | Promise<Uint8Array>;

/** Of linux/netlink.h: a message's header, and the answer that says how it went. */
const headerSizeBytes = 16;
const messageTypeError = 2;
const flagCapped = 0x100;

/** Yes to everything: an NLMSG_ERROR of 0 for every message. */
export function acknowledgeAll({ messages }: FakeNetlinkRequest): Uint8Array {
  const view = new DataView(messages.buffer, messages.byteOffset, messages.length);
  const answers: Uint8Array[] = [];
  for (let offset = 0; offset + headerSizeBytes <= messages.length; ) {
    const lengthBytes = view.getUint32(offset, true);
    const answer = new Uint8Array(headerSizeBytes + 4 + headerSizeBytes);
    const answerView = new DataView(answer.buffer);
    answerView.setUint32(0, answer.length, true);
    answerView.setUint16(4, messageTypeError, true);
    answerView.setUint16(6, flagCapped, true);
    answer.set(messages.subarray(offset + 8, offset + headerSizeBytes), 8); // Its sequence number and port.
    answer.set(messages.subarray(offset, offset + headerSizeBytes), headerSizeBytes + 4);
    answers.push(answer);
    offset += Math.max(headerSizeBytes, Math.ceil(lengthBytes / 4) * 4);
  }
  return new Uint8Array(Buffer.concat(answers));
}

export class FakeNetlinkSocket implements NetlinkSocket {
  readonly family: NetlinkFamily;
  readonly #process: FakeProcess;
  readonly #respond: FakeNetlinkResponder;
  readonly #namespacePath: string | undefined;
  readonly #listening: boolean;
  readonly #closed = new AbortController();
  #batches: Uint8Array[] = [];
  #arrived = Promise.withResolvers<void>();
  #queue: Promise<unknown> = Promise.resolve();

  constructor(
    process: FakeProcess,
    options: { family: NetlinkFamily; groups?: readonly number[]; namespacePath?: string },
    respond: FakeNetlinkResponder,
  ) {
    this.family = options.family;
    this.#process = process;
    this.#namespacePath = options.namespacePath;
    this.#listening = (options.groups ?? []).length > 0;
    this.#respond = respond;
  }

  async transact(messages: Uint8Array, acks: number): Promise<Uint8Array> {
    if (this.#listening) throw this.#mistake("a socket that listens to groups asks nothing: open another one");
    const run = this.#queue.then(() => {
      if (this.#closed.signal.aborted) throw this.#mistake("it was closed", errnos.EBADF);
      this.#process.check("transact", `netlink ${this.family}`);
      return this.#respond({ family: this.family, namespacePath: this.#namespacePath, messages: messages.slice(), acks });
    });
    this.#queue = run.catch(() => {});
    return await run;
  }

  async *receive(signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    if (!this.#listening) throw this.#mistake("it has joined no group, so it will never hear anything");
    const either = AbortSignal.any([signal, this.#closed.signal]);
    either.addEventListener("abort", () => this.#arrived.resolve(), { once: true });
    while (!either.aborted) {
      await this.#arrived.promise;
      if (either.aborted) return;
      const batches = this.#batches;
      this.#batches = [];
      this.#arrived = Promise.withResolvers<void>();
      if (either.aborted) return;
      yield* batches;
    }
  }

  /** For tests: what the kernel would multicast. An empty batch says that messages were lost. */
  deliver(batch: Uint8Array): void {
    if (!this.#listening || this.#closed.signal.aborted) return;
    this.#batches.push(batch);
    this.#arrived.resolve();
  }

  [Symbol.dispose](): void {
    this.#closed.abort();
  }

  #mistake(reason: string, errno: number = errnos.EINVAL): Error {
    return createKernelError({ what: `netlink ${this.family}`, syscall: "use", errno, reason });
  }
}
