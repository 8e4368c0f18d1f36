import { once } from "node:events";
import { lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { createSecureServer, createServer, type Http2SecureServer, type Http2Server } from "node:http2";
import { type AddressInfo, connect as connectSocket } from "node:net";
import { dirname } from "node:path";
import { ObserverError } from "./errors.ts";

/** Certificate, key and authorities as PEM; replaced while they are used. */
export interface ServerTls {
  readonly current: TlsContext;
  /** Calls the listener with each replacement. The returned function ends that. */
  watch(listener: (context: TlsContext) => void): () => void;
}

export interface TlsContext {
  readonly pair: { readonly certificate: string; readonly key: string } | undefined;
  /** Whose certificates are believed. Of a server: empty means that clients need none. */
  readonly authorities: readonly string[];
}

export type ListenAddress =
  /** For root and its group only. The folder is made; a socket that nobody serves is replaced. */
  | { readonly kind: "unix"; readonly path: string }
  /** `host:port` or `:port` for all addresses; plain text without `tls`. */
  | { readonly kind: "tcp"; readonly address: string; readonly tls?: ServerTls };

/** A server that listens, where, and how to let go of what it holds besides. */
export interface Listener {
  readonly server: Http2Server | Http2SecureServer;
  /** As a client would name it: `unix:///path` or `host:port`. */
  readonly address: string;
  release(): void;
}

/** Bytes a stream may have on the way before its reader waits. */
const settings = { settings: { maxConcurrentStreams: 100, initialWindowSize: 262_144 }, maxSessionMemory: 16 };

/** `prepare` sees the server before anybody can connect. */
export async function listen(where: ListenAddress, prepare: (server: Listener["server"]) => void): Promise<Listener> {
  if (where.kind === "unix") {
    await clearSocket(where.path);
    const server = createServer(settings);
    prepare(server);
    await listenOnPath(server, where.path);
    return { server, address: `unix://${where.path}`, release() {} };
  }
  const { server, release } = where.tls === undefined ? { server: createServer(settings), release() {} } : createTlsServer(where.tls);
  prepare(server);
  const { host, port } = parseListenAddress(where.address);
  server.listen({ port, ...(host === "" ? {} : { host }) });
  try {
    await once(server, "listening");
  } catch (cause) {
    release();
    throw new ObserverError(`cannot listen on ${where.address}; is another program there? Choose another address`, { cause });
  }
  return { server, address: `${host === "" ? "localhost" : host}:${(server.address() as AddressInfo).port}`, release };
}

function createTlsServer(tls: ServerTls): { server: Http2SecureServer; release(): void } {
  const context = ({ pair, authorities }: TlsContext) => ({
    minVersion: "TLSv1.3" as const,
    ...(pair === undefined ? {} : { cert: pair.certificate, key: pair.key }),
    ...(authorities.length === 0 ? {} : { ca: [...authorities] }),
  });
  if (tls.current.pair === undefined) throw new ObserverError("a TLS server needs a certificate and its key, and there are none");
  const requestCert = tls.current.authorities.length > 0;
  const server = createSecureServer({ ...settings, ...context(tls.current), requestCert, rejectUnauthorized: requestCert });
  return { server, release: tls.watch((next) => server.setSecureContext(context(next))) };
}

/** `:4244`, `0.0.0.0:4244`, `[::]:4244`; the host is empty where all addresses are meant. */
export function parseListenAddress(address: string): { readonly host: string; readonly port: number } {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]*):([0-9]{1,5})$/.exec(address);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) throw new ObserverError(`${JSON.stringify(address)} is no address to listen on, such as :4244`);
  return { host: (match[1] ?? "").replace(/^\[|\]$/g, ""), port };
}

/** The permissions are those of the moment of binding: nobody else can connect even for an instant. */
async function listenOnPath(server: Http2Server, socketPath: string): Promise<void> {
  const mask = process.umask(0o117);
  try {
    server.listen(socketPath);
  } finally {
    process.umask(mask);
  }
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new ObserverError(`cannot listen on ${socketPath}; is the folder writable?`, { cause });
  }
}

/** Removes a socket that nobody listens on. One that answers belongs to a running server and is left alone. */
async function clearSocket(socketPath: string): Promise<void> {
  mkdirSync(dirname(socketPath), { recursive: true });
  const found = lstatSync(socketPath, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new ObserverError(`${socketPath} exists and is no socket: move it away, or choose another path`);
  const probe = connectSocket(socketPath);
  const answered = await new Promise<boolean>((resolve) => {
    probe.once("connect", () => resolve(true));
    probe.once("error", () => resolve(false));
  });
  probe.destroy();
  if (answered) throw new ObserverError(`${socketPath} is served by another process: stop that agent first`);
  unlinkSync(socketPath);
}
