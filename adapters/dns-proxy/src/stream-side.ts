import { closeSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { parseAddress } from "@cilium-ts/net";
import { ClientStream } from "./client-stream.ts";
import type { AskedServer, DnsProxyOptions } from "./proxy-options.ts";

const connectionsMax = 1_000;
const connectionsOfOneMax = 100;
const backlog = 128;
const loopback = { ipv4: "127.0.0.1", ipv6: "::1" } as const;

/** Questions by TCP: those who ask much, and those whose answer by UDP was cut off. */
export class StreamSide implements AsyncDisposable {
  readonly #options: DnsProxyOptions;
  readonly #servers: Server[] = [];
  readonly #streams = new Set<ClientStream>();
  readonly #counts = new Map<number, number>();

  constructor(options: DnsProxyOptions) {
    this.#options = options;
    try {
      for (const family of ["ipv4", "ipv6"] as const) this.#listen(family);
    } catch (cause) {
      for (const server of this.#servers) server.close();
      throw cause;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stream of this.#streams) stream.close();
    await Promise.all(this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
  }

  #listen(family: "ipv4" | "ipv6"): void {
    const { kernel, port, mark, namespacePath } = this.#options;
    const bind = { address: loopback[family], port };
    const place = { ...(mark !== undefined && { mark }), ...(namespacePath !== undefined && { namespacePath }) };
    const fd = kernel.openSocket({ family, type: "stream", transparent: true, reuseAddress: true, bind, listen: backlog, ...place });
    // Who has sent all questions may still be answered.
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket, family));
    server.maxConnections = connectionsMax;
    server.on("error", () => {
      if (!server.listening) closeSync(fd); // Else a connection could not be taken, which is its client's affair.
    });
    server.listen({ fd }); // It listens already.
    this.#servers.push(server);
  }

  #accept(socket: Socket, family: "ipv4" | "ipv6"): void {
    socket.on("error", () => {}); // What follows is "close".
    const asked = askedOf(socket);
    const asker = asked && this.#options.judge(asked);
    if (asked === undefined || asker === undefined) {
      this.#options.onOutcome("stranger", "TCP");
      socket.destroy();
      return;
    }
    const count = (this.#counts.get(asker.endpointId) ?? 0) + 1;
    if (count > connectionsOfOneMax) {
      this.#options.onOutcome("overload", "TCP");
      socket.destroy();
      return;
    }
    this.#counts.set(asker.endpointId, count);
    const stream = new ClientStream(this.#options, socket, asked, family);
    this.#streams.add(stream);
    socket.once("close", () => {
      this.#streams.delete(stream);
      const left = (this.#counts.get(asker.endpointId) ?? 1) - 1;
      if (left === 0) this.#counts.delete(asker.endpointId);
      else this.#counts.set(asker.endpointId, left);
    });
  }
}

/** A transparent socket has the address that the client spoke to. */
function askedOf(socket: Socket): AskedServer | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  const [client, server] = [parseAddress(remoteAddress ?? ""), parseAddress(localAddress ?? "")];
  if (client === undefined || server === undefined || remotePort === undefined || localPort === undefined) return undefined;
  return { client: { address: client, port: remotePort }, server: { address: server, port: localPort }, transport: "TCP" };
}
