import { createSocket } from "node:dgram";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { Socket } from "node:net";
import { type Kernel, openKernel } from "@cilium-ts/kernel";
import { parseAddress } from "@cilium-ts/net";
import { ConnectionMaps, proxyMark, type TrackedConnection } from "../../adapters/datapath/src/index.ts";
import { sysctlsForIngress } from "../../apps/agent/src/proxies/node-proxies.ts";

// The smallest proxy that is one, run inside a node's network namespace. HTTP: it refuses paths that begin with /refused and passes on
// all else, speaking for whom the kernel says that it listens to. UDP: it answers by itself, with the address that it was asked by.
// Says "ready".

export interface RelaySetup {
  readonly bpfRoot: string;
  readonly direction: "ingress" | "egress";
  readonly port: number;
  /** Who is asked over UDP: a proxy that wants to know opens its socket another way. */
  readonly asked?: { readonly address: string; readonly port: number };
}

const families = ["ipv4", "ipv6"] as const;

function listen(kernel: Kernel, { direction, port }: RelaySetup, family: (typeof families)[number], type: "stream" | "datagram"): number {
  const bind = { address: family === "ipv4" ? "0.0.0.0" : "::", port };
  const common = { family, type, transparent: true, reuseAddress: true, mark: proxyMark(direction), bind };
  return kernel.openSocket(type === "stream" ? { ...common, listen: 64 } : common);
}

/** The addresses of an accepted socket are those of the connection: a proxy that is not there could not have them better. */
function trackedOf(connections: ConnectionMaps, { localAddress, localPort, remoteAddress, remotePort }: Socket): TrackedConnection {
  const [source, destination] = [parseAddress(remoteAddress ?? ""), parseAddress(localAddress ?? "")];
  if (source === undefined || destination === undefined) throw new Error("the connection has ended");
  const ends = { protocol: 6, source, sourcePort: remotePort ?? 0, destination, destinationPort: localPort ?? 0 };
  const tracked = connections.find(ends);
  if (tracked === undefined) throw new Error("the kernel does not know the connection");
  return tracked;
}

function pass(kernel: Kernel, connections: ConnectionMaps, setup: RelaySetup, incoming: IncomingMessage, answer: ServerResponse): void {
  const { socket, url = "/", method = "GET", headers } = incoming;
  if (url.startsWith("/refused")) {
    answer.writeHead(403, { "x-proxy": setup.direction }).end("refused");
    return;
  }
  const family = socket.remoteFamily === "IPv4" ? "ipv4" : "ipv6";
  const mark = proxyMark(setup.direction, trackedOf(connections, socket).sourceIdentity);
  const onward = new Socket({ fd: kernel.openSocket({ family, type: "stream", mark }), manualStart: true } as ConstructorParameters<
    typeof Socket
  >[0]);
  const { localAddress: host = "", localPort: port = 0 } = socket;
  onward.connect({ host, port });
  const asked = request({ method, path: url, headers, createConnection: () => onward }, (given) => {
    answer.writeHead(given.statusCode ?? 502, {
      ...given.headers,
      "x-proxy": `${setup.direction} ${given.headers["x-proxy"] ?? ""}`.trim(),
    });
    given.pipe(answer);
  });
  asked.on("error", (cause) => answer.writeHead(502).end(cause.message));
  incoming.pipe(asked);
}

function answerDatagrams(kernel: Kernel, { direction, asked }: RelaySetup, fd: number): void {
  const socket = createSocket(asked?.address.includes(":") ? "udp6" : "udp4");
  const speaking = createSocket(asked?.address.includes(":") ? "udp6" : "udp4");
  const family = asked?.address.includes(":") ? "ipv6" : "ipv4";
  const bind = asked;
  speaking.bind({
    fd: kernel.openSocket({
      family,
      type: "datagram",
      transparent: true,
      reuseAddress: true,
      mark: proxyMark(direction),
      ...(bind && { bind }),
    }),
  });
  socket.on("message", (message, { address, port }) => speaking.send(`${direction} ${message}`, port, address));
  socket.bind({ fd });
}

function main(setup: RelaySetup): void {
  const kernel = openKernel();
  if (setup.direction === "ingress") kernel.writeSysctls({ values: sysctlsForIngress });
  const map = (name: string) => kernel.openPinnedMap(`${setup.bpfRoot}/maps/${name}`);
  const connections = new ConnectionMaps({ ct4: map("ct4"), ct6: map("ct6") });
  for (const family of families) {
    const server = createServer((incoming, answer) => {
      try {
        pass(kernel, connections, setup, incoming, answer);
      } catch (cause) {
        answer.writeHead(503).end(String(cause));
      }
    });
    server.listen({ fd: listen(kernel, setup, family, "stream") });
    const asked = setup.asked?.address.includes(":") ? "ipv6" : "ipv4";
    if (setup.asked !== undefined && asked === family) answerDatagrams(kernel, setup, listen(kernel, setup, family, "datagram"));
  }
  console.log("ready");
}

if (import.meta.main) main(JSON.parse(process.argv[2] ?? ""));
