import { closeSync } from "node:fs";
import { padded } from "./datagrams.ts";
import { attempt, createKernelError, errnos } from "./failure.ts";
import type { DatagramExchange, ExchangeAnswer } from "./kernel.ts";
import type { Native } from "./native.ts";
import { Readiness } from "./readiness.ts";

/** As struct answer_record of native/datagram.c. */
const offset = { token: 0, error: 4, length: 8, end: 16 } as const;
const bufferBytes = 512 * 1024;
const noMark = -1;
const what = "questions to servers";

/** One epoll instance for all questions: Node's loop watches a single descriptor, however many are open. */
export class NativeExchange implements DatagramExchange {
  readonly #native: Native;
  readonly #namespacePath: string | null;
  readonly #fd: number;
  readonly #readiness: Readiness;
  readonly #open = new Map<number, number>();
  readonly #buffer = new Uint8Array(bufferBytes);
  readonly #view = new DataView(this.#buffer.buffer);

  constructor(native: Native, namespacePath: string | undefined) {
    this.#native = native;
    this.#namespacePath = namespacePath ?? null;
    this.#fd = attempt(what, () => native.openExchange());
    try {
      this.#readiness = new Readiness(native, this.#fd, what);
    } catch (cause) {
      closeSync(this.#fd);
      throw cause;
    }
  }

  ask({ token, server, port, mark = noMark, bytes }: Parameters<DatagramExchange["ask"]>[0]): void {
    this.#mustBeOpen();
    if (this.#open.has(token)) throw createKernelError({ what, syscall: "use", errno: errnos.EEXIST, reason: `token ${token} is in use` });
    const fd = attempt(what, () => this.#native.ask(this.#fd, token, this.#namespacePath, mark, server, port, bytes));
    this.#open.set(token, fd);
  }

  end(token: number): void {
    const fd = this.#open.get(token);
    if (fd === undefined) return;
    this.#open.delete(token);
    this.#native.close(fd);
  }

  receive(): ExchangeAnswer[] {
    this.#mustBeOpen();
    const filled = attempt(what, () => this.#native.receiveAnswers(this.#fd, this.#buffer));
    const view = this.#view;
    const answers: ExchangeAnswer[] = [];
    for (let at = 0; at < filled; ) {
      const length = view.getUint32(at + offset.length, true);
      const bytes = this.#buffer.subarray(at + offset.end, at + offset.end + length);
      answers.push({ token: view.getUint32(at + offset.token, true), errno: view.getInt32(at + offset.error, true), bytes });
      at += padded(offset.end + length);
    }
    return answers;
  }

  wait(signal: AbortSignal): Promise<boolean> {
    return this.#readiness.wait(undefined, signal);
  }

  [Symbol.dispose](): void {
    if (this.#readiness.closed) return;
    this.#readiness[Symbol.dispose]();
    for (const fd of this.#open.values()) this.#native.close(fd);
    this.#open.clear();
    closeSync(this.#fd);
  }

  #mustBeOpen(): void {
    if (this.#readiness.closed) throw createKernelError({ what, syscall: "use", errno: errnos.EBADF, reason: "it was closed" });
  }
}
