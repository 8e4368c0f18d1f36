import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { readFileSync } from "node:fs";
import type { Kernel } from "@cilium-ts/kernel";

interface Pending {
  readonly address: string;
  readonly answered: () => void;
}

const families = {
  ipv4: { socket: "udp4", protocol: 1, request: 8, reply: 0 },
  ipv6: { socket: "udp6", protocol: 58, request: 128, reply: 129 },
} as const;
type Family = keyof typeof families;

const groupRangePath = "/proc/sys/net/ipv4/ping_group_range";
const tokenSizeBytes = 8;

/** ICMP echo requests, over the kernel's sockets for pings: it fills in checksums and identifiers, and hands us our own answers alone. */
export class Pinger implements Disposable {
  readonly #sockets: Readonly<Record<Family, Socket>>;
  /** Requests without an answer yet, by family and sequence number. */
  readonly #pending = new Map<string, Pending>();
  readonly #token = randomBytes(tokenSizeBytes);
  #sequence = 0;

  constructor(kernel: Pick<Kernel, "openSocket" | "writeSysctls">) {
    allowPings(kernel);
    this.#sockets = { ipv4: this.#open(kernel, "ipv4"), ipv6: this.#open(kernel, "ipv6") };
  }

  /** Seconds until the answer came. Rejects with a sentence when none did, or with the signal's reason. */
  async ping(address: string, timeoutMs: number, signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const family = address.includes(":") ? "ipv6" : "ipv4";
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const sequence = this.#sequence;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const beganMs = performance.now();
    this.#pending.set(`${family} ${sequence}`, { address, answered: resolve });
    const timer = setTimeout(() => reject(new Error("no answer to a ping")), timeoutMs);
    const stop = (): void => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    try {
      this.#sockets[family].send(this.#request(family, sequence), 1, address, (cause) => {
        if (cause) reject(cause);
      });
      await promise;
      return (performance.now() - beganMs) / 1_000;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      this.#pending.delete(`${family} ${sequence}`);
    }
  }

  [Symbol.dispose](): void {
    for (const socket of Object.values(this.#sockets)) socket.close();
  }

  #request(family: Family, sequence: number): Buffer {
    const request = Buffer.alloc(8 + tokenSizeBytes);
    request[0] = families[family].request;
    request.writeUInt16BE(sequence, 6);
    this.#token.copy(request, 8);
    return request;
  }

  #open(kernel: Pick<Kernel, "openSocket">, family: Family): Socket {
    const { socket: type, protocol, reply } = families[family];
    const socket = createSocket(type);
    socket.on("error", () => {}); // Of a datagram that was refused on its way: its request runs out of time.
    socket.on("message", (message, { address }) => {
      if (message.length < 8 + tokenSizeBytes || message[0] !== reply || !message.subarray(8).equals(this.#token)) return;
      const pending = this.#pending.get(`${family} ${message.readUInt16BE(6)}`);
      if (pending?.address === address) pending.answered();
    });
    socket.bind({ fd: kernel.openSocket({ family, type: "datagram", protocol }) });
    socket.unref();
    return socket;
  }
}

/** The groups that may ping, of which ours has to be one. Whoever was allowed stays so. */
function allowPings(kernel: Pick<Kernel, "writeSysctls">): void {
  const group = process.getegid?.() ?? 0;
  const [first = 1, last = 0] = readFileSync(groupRangePath, "latin1").trim().split(/\s+/).map(Number);
  if (first <= group && group <= last) return;
  const range = first > last ? [group, group] : [Math.min(first, group), Math.max(last, group)];
  kernel.writeSysctls({ values: [[groupRangePath, range.join(" ")]] });
}
