import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** Where to listen. */
export interface ServeAddress {
  /** Undefined: all addresses. */
  readonly host: string | undefined;
  /** 0: any that is free. */
  readonly port: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** A socket that listens already. It is closed with the endpoint. */
export interface ListeningSocket {
  readonly descriptor: number;
}

/** What is answered for a path, for one who sent these headers. */
export type HttpRoutes = Readonly<Record<string, (headers: IncomingHttpHeaders) => HttpAnswer>>;

export interface HttpEndpoint extends AsyncDisposable {
  readonly port: number;
}

const connectionsMax = 100;

/** Answers GET requests by path; everything else is 404 or 405. Bodies are not read. */
export async function openHttpEndpoint(name: string, where: ServeAddress | ListeningSocket, routes: HttpRoutes): Promise<HttpEndpoint> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => answer(routes, request, response));
  server.maxConnections = connectionsMax;
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    const place = "descriptor" in where ? `socket ${where.descriptor}` : `${where.host ?? "*"}:${where.port}`;
    server.once("error", (cause) => reject(new Error(`the ${name} cannot be served on ${place}; choose another address`, { cause })));
    server.listen(listenOptions(where), resolve);
  });
  server.on("error", () => {}); // A connection that could not be taken is its client's affair.
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function listenOptions(where: ServeAddress | ListeningSocket): { fd: number } | { port: number; host?: string } {
  if ("descriptor" in where) return { fd: where.descriptor };
  const { host, port } = where;
  return { port, ...(host !== undefined && { host }) };
}

function answer(routes: HttpRoutes, request: IncomingMessage, response: ServerResponse): void {
  const [path = ""] = (request.url ?? "").split("?");
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  const isRead = request.method === "GET" || request.method === "HEAD";
  const refusal = {
    status: route === undefined ? 404 : 405,
    contentType: "text/plain",
    body: route === undefined ? "not found\n" : "only GET\n",
  };
  const { status, contentType, body } = route !== undefined && isRead ? route(request.headers) : refusal;
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body) });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** Metrics as Prometheus reads them. */
export function prometheusAnswer(text: string): HttpAnswer {
  return { status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", body: text };
}
