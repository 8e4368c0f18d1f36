import type { Kernel } from "../kernel.ts";
import type { FakeProcess } from "./process.ts";

/** Sockets that nobody sends anything to: no packet flows here. */
export function createFakeDatagrams(owner: FakeProcess): Pick<Kernel, "openRedirected" | "openReplies" | "openExchange"> {
  return {
    openRedirected({ port }) {
      owner.check("openSocket", `redirected datagrams at port ${port}`);
      return { port, fd: -1, receive: () => [], ...silence() };
    },
    openReplies() {
      owner.check("openSocket", "replies");
      return { send: () => 0, [Symbol.dispose]() {} };
    },
    openExchange() {
      owner.check("openSocket", "questions to servers");
      return { ask() {}, end() {}, receive: () => [], ...silence() };
    },
  };
}

function silence(): Disposable & { wait(signal: AbortSignal): Promise<boolean> } {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  return {
    wait(signal) {
      signal.addEventListener("abort", () => resolve(false), { once: true });
      return signal.aborted ? Promise.resolve(false) : promise;
    },
    [Symbol.dispose]: () => resolve(false),
  };
}
