import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { createServer, type Server, type Socket, connect as tcpConnect } from "node:net";
import { createInterface } from "node:readline";
import { SctpEnds } from "./sctp-ends.ts";

/**
 * What runs inside a pod of these tests: servers that send everything back, and clients. It is told what to do over a unix socket, one
 * JSON object a line each way, because those reach into every network namespace. A probe then costs what a connection costs.
 */
export type WorkloadRequest =
  | { readonly do: "listen"; readonly protocol: Protocol; readonly port: number }
  /** One exchange of `sizeBytes` with a server. */
  | ({ readonly do: "ask"; readonly protocol: Protocol; readonly address: string; readonly port: number } & AskLimits)
  /** A TCP connection over which a byte goes every 10 ms, there and back, until it ends. */
  | { readonly do: "stream"; readonly name: string; readonly address: string; readonly port: number }
  | { readonly do: "look"; readonly name: string }
  /** The addresses of a name, as a resolver finds them: by UDP, and by TCP where that cuts them off. */
  | { readonly do: "resolve"; readonly server: string; readonly hostname: string; readonly family: 4 | 6 };

export type Protocol = "tcp" | "udp" | "sctp";

interface AskLimits {
  readonly timeoutMs: number;
  readonly sizeBytes?: number;
}

/** `answered`, `timeout`, or the error's code, such as `ECONNREFUSED`. */
export type Outcome = string;

/** Times in ms. A gap is the time without a byte from the other side; the longest one includes the present one. */
export interface StreamState {
  readonly outcome: "open" | Outcome;
  readonly receivedBytes: number;
  readonly longestGapMs: number;
  readonly presentGapMs: number;
  /** How late a timer of this process was at worst: what the machine, not the network, is to blame for. */
  readonly latestTimerMs: number;
}

const beatMs = 10;

class Stream {
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;
  #outcome: "open" | Outcome = "open";
  #receivedBytes = 0;
  #lastReceived = performance.now();
  #longestGapMs = 0;
  #lastBeat = performance.now();
  #latestTimerMs = 0;

  constructor(address: string, port: number) {
    this.#socket = tcpConnect({ host: address, port, noDelay: true });
    this.#socket.on("data", (bytes) => this.#received(bytes.length));
    this.#socket.on("error", (error: NodeJS.ErrnoException) => {
      this.#outcome = error.code ?? error.message;
    });
    this.#socket.on("close", () => {
      if (this.#outcome === "open") this.#outcome = "closed";
      clearInterval(this.#timer);
    });
    this.#timer = setInterval(() => this.#beat(), beatMs);
  }

  look(): StreamState {
    const presentGapMs = performance.now() - this.#lastReceived;
    return {
      outcome: this.#outcome,
      receivedBytes: this.#receivedBytes,
      longestGapMs: Math.max(this.#longestGapMs, presentGapMs),
      presentGapMs,
      latestTimerMs: this.#latestTimerMs,
    };
  }

  #beat(): void {
    const now = performance.now();
    this.#latestTimerMs = Math.max(this.#latestTimerMs, now - this.#lastBeat - beatMs);
    this.#lastBeat = now;
    // What is not acknowledged waits in the kernel, which is room enough for a test.
    if (this.#socket.readyState === "open") this.#socket.write("x");
  }

  #received(count: number): void {
    const now = performance.now();
    if (this.#receivedBytes > 0) this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastReceived);
    this.#lastReceived = now;
    this.#receivedBytes += count;
  }
}

const streams = new Map<string, Stream>();
/** Of workloads that were given the program. */
const sctpProgram = process.argv[3];
const sctpEnds = sctpProgram === undefined ? undefined : new SctpEnds(sctpProgram);

async function serve(request: WorkloadRequest): Promise<unknown> {
  switch (request.do) {
    case "listen":
      if (request.protocol === "sctp") return sctpEnds?.listen(request.port);
      return request.protocol === "tcp" ? listenTcp(request.port) : listenUdp(request.port);
    case "ask":
      if (request.protocol === "sctp") return sctpEnds?.ask(request.address, request.port, request.timeoutMs);
      return request.protocol === "tcp" ? askTcp(request) : askUdp(request);
    case "stream":
      streams.set(request.name, new Stream(request.address, request.port));
      return "started";
    case "look":
      return streams.get(request.name)?.look();
    case "resolve":
      return resolve(request);
  }
}

function listenTcp(port: number): Promise<string> {
  const server: Server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => {}); // The client went away.
    socket.pipe(socket);
  });
  return listening(server, () => server.listen({ port, host: "::" }));
}

function listenUdp(port: number): Promise<string> {
  const server: UdpSocket = createSocket({ type: "udp6" }, (bytes, from) => server.send(bytes, from.port, from.address));
  return listening(server, () => server.bind(port, "::"));
}

function listening(server: Server | UdpSocket, start: () => void): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("listening", () => resolve("listening"));
    server.once("error", reject);
    start();
  });
}

type Ask = Extract<WorkloadRequest, { do: "ask" }>;

function askTcp({ address, port, timeoutMs, sizeBytes = 1 }: Ask): Promise<Outcome> {
  const socket = tcpConnect({ host: address, port, noDelay: true });
  return new Promise<Outcome>((resolve) => {
    let missing = sizeBytes;
    socket.on("connect", () => socket.write(Buffer.alloc(sizeBytes)));
    socket.on("data", (bytes) => {
      missing -= bytes.length;
      if (missing <= 0) resolve("answered");
    });
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    setTimeout(() => resolve("timeout"), timeoutMs).unref();
  }).finally(() => socket.destroy());
}

/** A connected socket, so that ICMP errors reach us. */
function askUdp({ address, port, timeoutMs, sizeBytes = 1 }: Ask): Promise<Outcome> {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  return new Promise<Outcome>((resolve) => {
    socket.on("message", (bytes) => resolve(bytes.length === sizeBytes ? "answered" : `${bytes.length} bytes`));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.connect(port, address, () => socket.send(Buffer.alloc(sizeBytes)));
    setTimeout(() => resolve("timeout"), timeoutMs).unref();
  }).finally(() => socket.close());
}

/** Addresses in order, or the error's code. */
async function resolve({ server, hostname, family }: Extract<WorkloadRequest, { do: "resolve" }>): Promise<readonly string[] | Outcome> {
  const resolver = new Resolver({ timeout: 1_000, tries: 2 });
  resolver.setServers([server]);
  try {
    return (await (family === 4 ? resolver.resolve4(hostname) : resolver.resolve6(hostname))).sort();
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code ?? String(cause);
  }
}

function main(socketPath: string): void {
  createServer((client) => {
    client.on("error", () => {}); // The test ended.
    createInterface({ input: client }).on("line", async (line) => {
      const { id, ...request } = JSON.parse(line);
      try {
        client.write(`${JSON.stringify({ id, value: await serve(request) })}\n`);
      } catch (cause) {
        client.write(`${JSON.stringify({ id, error: String(cause) })}\n`);
      }
    });
  }).listen(socketPath);
}

if (import.meta.main) main(process.argv[2] ?? "");
