import { mkdir, rename, rm, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import { errorMessage } from "@cilium-ts/std";

/** Of a path in a socket's address, on Linux, without the zero byte at its end. */
const pathSizeBytesMax = 107;
/** Nobody but root, and the group that owns the file. */
const umaskOfSocket = 0o117;
const probeTimeoutMs = 1_000;
const attemptsMax = 5;

/** The socket cannot be had: which, and why. */
export class AgentSocketError extends Error {
  override readonly name = "AgentSocketError";
  readonly socketPath: string;

  constructor(socketPath: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.socketPath = socketPath;
  }
}

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Requests that may wait until somebody serves them. */
const pendingMax = 1_024;

/** A socket that is ours. Requests that come before somebody serves them wait. */
export class AgentSocket implements AsyncDisposable {
  readonly socketPath: string;
  readonly #server: Server;
  #pending: [IncomingMessage, ServerResponse][] = [];
  #handler: RequestHandler | undefined;

  constructor(socketPath: string, server: Server) {
    this.socketPath = socketPath;
    this.#server = server;
    server.on("request", (request, response) => this.#take(request, response));
  }

  /** Hands on all requests, those that wait first, until the handle is disposed of. */
  serve(handler: RequestHandler): Disposable {
    this.#handler = handler;
    const pending = this.#pending;
    this.#pending = [];
    for (const [request, response] of pending) if (!response.destroyed) handler(request, response);
    return {
      [Symbol.dispose]: () => {
        this.#handler = undefined;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    if (this.#handler !== undefined) this.#handler(request, response);
    else if (this.#pending.length < pendingMax) this.#pending.push([request, response]);
    else response.writeHead(503, { connection: "close" }).end();
  }
}

/**
 * Takes the agent's socket, which is also how a node makes sure that it has one agent: while one serves it, another cannot have it,
 * and says so before it has touched anything. The file of an agent that died is replaced.
 */
export async function openAgentSocket({ socketPath }: { socketPath: string }): Promise<AgentSocket> {
  if (Buffer.byteLength(socketPath) > pathSizeBytesMax) {
    throw new AgentSocketError(socketPath, `the socket path ${socketPath} is longer than ${pathSizeBytesMax} bytes: choose a shorter one`);
  }
  await mkdir(dirname(socketPath), { recursive: true }).catch((cause) => {
    throw new AgentSocketError(socketPath, `the folder of ${socketPath} cannot be made: ${errorMessage(cause)}`, cause);
  });
  const server = createServer({ keepAliveTimeout: 60_000, headersTimeout: 10_000, requestTimeout: 30_000 });
  for (let attempt = 1; attempt <= attemptsMax; attempt += 1) {
    const failure = await listen(server, socketPath);
    if (failure === undefined) return new AgentSocket(socketPath, server);
    if (failure.code !== "EADDRINUSE")
      throw new AgentSocketError(socketPath, `cannot listen on ${socketPath}: ${errorMessage(failure)}`, failure);
    await removeDead(socketPath);
  }
  throw new AgentSocketError(socketPath, `${socketPath} cannot be taken: others keep taking and leaving it`);
}

/** The file comes into being with its permissions: binding happens inside this turn, and the mask is put back at its end. */
async function listen(server: Server, socketPath: string): Promise<NodeJS.ErrnoException | undefined> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | undefined>();
  const fail = (error: NodeJS.ErrnoException): void => resolve(error);
  server.once("error", fail);
  const umask = process.umask(umaskOfSocket);
  try {
    server.listen(socketPath, () => resolve(undefined));
  } finally {
    process.umask(umask);
  }
  const failure = await promise;
  server.off("error", fail);
  return failure;
}

/** Throws when somebody serves the socket, or when it is something else. */
async function removeDead(socketPath: string): Promise<void> {
  const before = await stat(socketPath, { bigint: true }).catch(() => undefined);
  if (before === undefined) return;
  if (!before.isSocket())
    throw new AgentSocketError(socketPath, `${socketPath} exists and is no socket: remove it, or choose another path`);
  if (await isServed(socketPath)) {
    throw new AgentSocketError(
      socketPath,
      `another cilium-agent is already serving on ${socketPath}: stop it first, or choose another path`,
    );
  }
  // Moved, looked at, and only then removed: another agent may have put its own in this place since.
  const aside = `${socketPath}.dead-${process.pid}`;
  await rename(socketPath, aside).catch(() => {});
  const moved = await stat(aside, { bigint: true }).catch(() => undefined);
  if (moved !== undefined && (moved.ino !== before.ino || moved.mtimeNs !== before.mtimeNs)) {
    await rename(aside, socketPath);
    throw new AgentSocketError(socketPath, `another cilium-agent is already serving on ${socketPath}: it has started in this moment`);
  }
  await rm(aside, { force: true });
}

function isServed(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const end = (served: boolean): void => {
      socket.destroy();
      resolve(served);
    };
    socket.setTimeout(probeTimeoutMs, () => end(true)); // It has a backlog, so somebody holds it, however busy.
    socket.once("connect", () => end(true));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"));
  });
}
