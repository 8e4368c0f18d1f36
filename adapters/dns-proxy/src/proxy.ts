import { DatagramSide } from "./datagram-side.ts";
import type { DnsProxyOptions } from "./proxy-options.ts";
import { StreamSide } from "./stream-side.ts";

/**
 * Stands between pods and the name servers that they speak to, by UDP and TCP. Its sockets are transparent: whatever the datapath
 * redirects to its port is a question to the server that the client means, and the answer comes from that server.
 */
export class DnsProxy implements AsyncDisposable {
  readonly port: number;
  readonly #datagrams: DatagramSide;
  readonly #streams: StreamSide;

  /** Throws KernelError when somebody else has the port. */
  constructor(options: DnsProxyOptions) {
    this.port = options.port;
    this.#datagrams = new DatagramSide(options);
    try {
      this.#streams = new StreamSide(options);
    } catch (cause) {
      this.#datagrams[Symbol.dispose]();
      throw cause;
    }
  }

  /** Questions by UDP that are on their way. */
  get inFlight(): number {
    return this.#datagrams.inFlight;
  }

  serve(signal: AbortSignal): Promise<void> {
    return this.#datagrams.serve(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#datagrams[Symbol.dispose]();
    await this.#streams[Symbol.asyncDispose]();
  }
}
