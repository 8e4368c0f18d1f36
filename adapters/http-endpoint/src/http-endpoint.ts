import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createSecureServer } from "node:https";
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

/** Certificates that are replaced while they are used. */
export interface EndpointTls {
  readonly current: EndpointCertificates;
  /** Calls the listener with each replacement. The returned function ends that. */
  watch(listener: (certificates: EndpointCertificates) => void): () => void;
}

export interface EndpointCertificates {
  readonly pair: { readonly certificate: string; readonly key: string } | undefined;
  /** Whose certificates clients must show; empty: they need none. */
  readonly authorities: readonly string[];
}

const connectionsMax = 100;
const limits = { requestTimeout: 10_000, headersTimeout: 10_000 };

/** Answers GET requests by path; everything else is 404 or 405. Bodies are not read. In plain text without `tls`. */
export async function openHttpEndpoint(
  name: string,
  where: ServeAddress | ListeningSocket,
  routes: HttpRoutes,
  tls?: EndpointTls,
): Promise<HttpEndpoint> {
  const { server, release } = createServerOf((request, response) => answer(routes, request, response), tls);
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
      release();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function createServerOf(listener: RequestListener, tls: EndpointTls | undefined): { readonly server: Server; release(): void } {
  if (tls === undefined) return { server: createServer(limits, listener), release() {} };
  const contextOf = ({ pair, authorities }: EndpointCertificates) => ({
    minVersion: "TLSv1.3" as const,
    ...(pair === undefined ? {} : { cert: pair.certificate, key: pair.key }),
    ...(authorities.length === 0 ? {} : { ca: [...authorities] }),
  });
  const requestCert = tls.current.authorities.length > 0;
  const server = createSecureServer({ ...limits, ...contextOf(tls.current), requestCert, rejectUnauthorized: requestCert }, listener);
  return { server, release: tls.watch((next) => server.setSecureContext(contextOf(next))) };
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
