import { closeSync } from "node:fs";
import { attempt, createKernelError, errnos } from "./failure.ts";
import type { Datagram, DatagramPlace, RedirectedDatagrams, ReplyDatagrams } from "./kernel.ts";
import { openSocket } from "./namespaced.ts";
import type { Native } from "./native.ts";
import { Readiness } from "./readiness.ts";

/** As struct record of native/datagram.c. */
const offset = { length: 0, peerPort: 2, localPort: 4, peer: 8, local: 24, end: 40 } as const;
const loopback = { ipv4: "127.0.0.1", ipv6: "::1" } as const;
const udp = 17;
/** Room for three of the largest, and for hundreds of usual ones. */
const bufferBytes = 256 * 1024;

export function openRedirected(native: Native, options: DatagramPlace & { readonly port: number }): RedirectedDatagrams {
  const { family, port } = options;
  const what = `redirected ${family} datagrams at port ${port}`;
  const bind = { address: loopback[family], port };
  const fd = openSocket(native, { ...options, type: "datagram", transparent: true, bind });
  try {
    attempt(what, () => native.takeRedirected(fd, Number(family === "ipv6")));
    return new NativeRedirected(native, fd, what, options);
  } catch (cause) {
    closeSync(fd);
    throw cause;
  }
}

export function openReplies(native: Native, options: DatagramPlace): ReplyDatagrams {
  const fd = openSocket(native, { ...options, type: "raw", protocol: udp, transparent: true });
  try {
    attempt(`${options.family} replies`, () => native.sendOnly(fd, Number(options.family === "ipv6")));
    return new NativeReplies(native, fd, options.family);
  } catch (cause) {
    closeSync(fd);
    throw cause;
  }
}

class NativeRedirected implements RedirectedDatagrams {
  readonly fd: number;
  readonly port: number;
  readonly #native: Native;
  readonly #what: string;
  readonly #addressBytes: number;
  readonly #bytes = Buffer.alloc(bufferBytes);
  readonly #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, bufferBytes);
  readonly #readiness: Readiness;

  constructor(native: Native, fd: number, what: string, { family, port }: DatagramPlace & { readonly port: number }) {
    this.fd = fd;
    this.port = port;
    this.#native = native;
    this.#what = what;
    this.#addressBytes = family === "ipv4" ? 4 : 16;
    this.#readiness = new Readiness(native, fd, what);
  }

  receive(): Datagram[] {
    if (this.#readiness.closed) throw closed(this.#what);
    const filled = attempt(this.#what, () => this.#native.receiveDatagrams(this.fd, this.#bytes));
    const view = this.#view;
    const datagrams: Datagram[] = [];
    for (let at = 0; at < filled; ) {
      const length = view.getUint16(at + offset.length, true);
      // Of a pool: they outlive this call, and thousands come in a second.
      const address = (field: number): Uint8Array => Buffer.from(this.#bytes.subarray(at + field, at + field + this.#addressBytes));
      datagrams.push({
        peer: address(offset.peer),
        peerPort: view.getUint16(at + offset.peerPort, true),
        local: address(offset.local),
        localPort: view.getUint16(at + offset.localPort, true),
        bytes: this.#bytes.subarray(at + offset.end, at + offset.end + length),
      });
      at += padded(offset.end + length);
    }
    return datagrams;
  }

  wait(signal: AbortSignal): Promise<boolean> {
    return this.#readiness.wait(undefined, signal);
  }

  [Symbol.dispose](): void {
    if (this.#readiness.closed) return;
    this.#readiness[Symbol.dispose]();
    closeSync(this.fd);
  }
}

class NativeReplies implements ReplyDatagrams {
  readonly #native: Native;
  readonly #isIPv6: number;
  /** Enough for hundreds of usual ones. */
  readonly #records = Buffer.alloc(bufferBytes);
  #fd: number | undefined;

  constructor(native: Native, fd: number, family: "ipv4" | "ipv6") {
    this.#native = native;
    this.#fd = fd;
    this.#isIPv6 = Number(family === "ipv6");
  }

  send(datagrams: readonly Datagram[]): number {
    const fd = this.#fd;
    if (fd === undefined) throw closed("replies");
    const size = datagrams.reduce((sum, { bytes }) => sum + padded(offset.end + bytes.length), 0);
    const records = size <= this.#records.length ? this.#records : Buffer.alloc(size);
    const view = new DataView(records.buffer, records.byteOffset, records.length);
    let at = 0;
    for (const { peer, peerPort, local, localPort, bytes } of datagrams) {
      view.setUint16(at + offset.length, bytes.length, true);
      view.setUint16(at + offset.peerPort, peerPort, true);
      view.setUint16(at + offset.localPort, localPort, true);
      records.set(peer, at + offset.peer);
      records.set(local, at + offset.local);
      records.set(bytes, at + offset.end);
      at += padded(offset.end + bytes.length);
    }
    return attempt("replies", () => this.#native.sendDatagrams(fd, this.#isIPv6, records, size));
  }

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

function closed(what: string): Error {
  return createKernelError({ what, syscall: "use", errno: errnos.EBADF, reason: "it was closed" });
}

export function padded(length: number): number {
  return (length + 7) & ~7;
}
