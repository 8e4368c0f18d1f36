import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { errorMessage } from "@cilium-ts/std";
import { Agent, type ErrorEvent, WebSocket } from "undici";
import type { ClusterAccess } from "../access.ts";
import { AccessToken, connectTimeoutMs, tcpKeepAliveDelayMs, tlsOptionsOf } from "../connect-options.ts";
import { KubernetesError } from "../kubernetes-error.ts";
import { podUrl } from "./pod-url.ts";

export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

export interface PodForwardOptions {
  /** 0: whichever is free. */
  readonly localPort: number;
  /** What became of a connection that could not be brought to the pod. */
  readonly onProblem: (message: string) => void;
}

/** Binary frames, the first byte of each being its channel: for the one port that is asked for, 0 is what is sent and 1 what went wrong. */
const protocol = "v4.channel.k8s.io";
const channels = { data: 0, error: 1 } as const;
/** The first frame of each channel repeats the port. */
const portBytes = 2;
const connectionCountMax = 64;
/** On their way to the API server; beyond it the local end waits. */
const pendingBytesMax = 1_048_576;
const pendingPollMs = 10;

/** A port of this machine that is a pod's: each connection to it goes through the API server, as `kubectl port-forward` does it. */
export class PodForward implements AsyncDisposable {
  readonly #server: Server;
  readonly #agent: Agent;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, agent: Agent) {
    this.#server = server;
    this.#agent = agent;
  }

  /** Rejects with KubernetesError when the local port cannot be had. Whether the pod can be reached shows with the first connection. */
  static async open(access: ClusterAccess, target: PodPort, { localPort, onProblem }: PodForwardOptions): Promise<PodForward> {
    const connect = { timeout: connectTimeoutMs, keepAlive: true, keepAliveInitialDelay: tcpKeepAliveDelayMs, ...tlsOptionsOf(access) };
    const agent = new Agent({ allowH2: false, connect });
    const token = new AccessToken(access);
    const server = createServer();
    const forward = new PodForward(server, agent);
    server.maxConnections = connectionCountMax;
    server.on("connection", (socket) => {
      forward.#sockets.add(socket);
      socket.on("error", () => {}); // Told by its close.
      socket.once("close", () => forward.#sockets.delete(socket));
      void connectPod(socket, { access, target, agent, token }).catch((cause: unknown) => {
        onProblem(`port ${target.port} of the pod ${target.namespace}/${target.pod} cannot be reached: ${errorMessage(cause)}`);
        socket.destroy();
      });
    });
    try {
      server.listen(localPort, "127.0.0.1");
      await once(server, "listening");
    } catch (cause) {
      await agent.destroy();
      const message = `port ${localPort} of this machine cannot be had: ${errorMessage(cause)}`;
      throw new KubernetesError({ message, status: 0, reason: "PortForwardFailed", cause });
    }
    return forward;
  }

  /** Of this machine. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await this.#agent.destroy();
  }
}

interface Way {
  readonly access: ClusterAccess;
  readonly target: PodPort;
  readonly agent: Agent;
  readonly token: AccessToken;
}

/** Carries one connection until either end has closed it. Rejects with what the API server or the pod's node says. */
async function connectPod(socket: Socket, { access, target, agent, token }: Way): Promise<void> {
  socket.pause();
  const text = await token.text();
  const tunnel = new WebSocket(forwardUrl(access.server, target), {
    protocols: [protocol],
    dispatcher: agent,
    ...(text !== undefined && { headers: { authorization: `Bearer ${text}` } }),
  });
  tunnel.binaryType = "arraybuffer";
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const repeated = new Set<number>();
  tunnel.onopen = () => socket.resume();
  tunnel.onmessage = ({ data }) => {
    if (!(data instanceof ArrayBuffer)) return;
    const frame = Buffer.from(data);
    const channel = frame[0] ?? -1;
    const isFirst = !repeated.has(channel);
    repeated.add(channel);
    const content = frame.subarray(isFirst ? 1 + portBytes : 1);
    if (content.length === 0) return;
    if (channel === channels.data) socket.write(content);
    if (channel === channels.error) reject(new Error(content.toString("utf8").trim()));
  };
  // Who asked may be gone: then there is nobody to be told.
  tunnel.onerror = (event: ErrorEvent) =>
    socket.destroyed ? resolve() : reject(new Error(`${access.server} does not let it be: ${reasonOf(event)}`));
  tunnel.onclose = () => {
    socket.end();
    resolve();
  };
  socket.on("data", (chunk: Buffer) => {
    tunnel.send(Buffer.concat([Buffer.of(channels.data), chunk]));
    if (tunnel.bufferedAmount > pendingBytesMax) pauseWhileFull(socket, tunnel);
  });
  socket.once("close", () => tunnel.close());
  try {
    await promise;
  } finally {
    tunnel.close();
  }
}

/** A WebSocket does not say when it has room again. */
function pauseWhileFull(socket: Socket, tunnel: WebSocket): void {
  socket.pause();
  const timer = setInterval(() => {
    if (tunnel.bufferedAmount > pendingBytesMax / 2 && !socket.destroyed) return;
    clearInterval(timer);
    socket.resume();
  }, pendingPollMs);
}

function forwardUrl(server: string, target: PodPort): URL {
  const url = podUrl(server, target, "portforward");
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("ports", String(target.port));
  return url;
}

/** Of a failed handshake the library keeps the reason two errors down. */
function reasonOf({ error, message }: ErrorEvent): string {
  const cause: unknown = error instanceof Error ? (error.cause ?? error) : undefined;
  const text = cause instanceof Error ? cause.message : message;
  return text === "" ? "the connection failed, or the right to pods/portforward is missing" : text;
}
