import { connect as connectSocket } from "node:net";
import { checkServerIdentity } from "node:tls";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Health } from "../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../gen/grpc/reflection/v1/reflection_pb.js";
import { History } from "../gen/history/history_pb.js";
import { Observer } from "../gen/observer/observer_pb.js";
import { Peer } from "../gen/peer/peer_pb.js";
import type { TlsContext } from "./listen.ts";

export type ObserverClient = Client<typeof Observer>;
export type HealthClient = Client<typeof Health>;
export type PeerClient = Client<typeof Peer>;
export type HistoryClient = Client<typeof History>;
export type ReflectionClient = Client<typeof ServerReflection>;

/** How a client proves and checks who is who. */
export interface ClientTls extends TlsContext {
  /** What the server's certificate must be valid for, where that is not the host of the address. */
  readonly serverName?: string;
  /** Believe any certificate: for experiments. */
  readonly allowInsecure?: boolean;
}

/**
 * Clients for the server at `unix:///path` or `host:port`; in plain text without `tls`. Nothing is sent before the first call; the
 * metadata goes with each.
 */
export function createObserverClients(
  address: string,
  tls?: ClientTls,
  metadata: Readonly<Record<string, string>> = {},
): {
  readonly observer: ObserverClient;
  readonly health: HealthClient;
  readonly peer: PeerClient;
  readonly history: HistoryClient;
  readonly reflection: ReflectionClient;
} {
  const path = unixPathOf(address);
  const host = address.replace(/^(dns:\/\/\/|tcp:\/\/|tls:\/\/|https?:\/\/)/, "");
  const transport = createGrpcTransport({
    interceptors: [
      (next) => (request) => {
        for (const [name, value] of Object.entries(metadata)) request.header.set(name, value);
        return next(request);
      },
    ],
    baseUrl: path === undefined ? `${tls === undefined ? "http" : "https"}://${host}` : "http://localhost",
    nodeOptions: path !== undefined ? { createConnection: () => connectSocket(path) } : tls === undefined ? {} : tlsOptions(tls),
  });
  return {
    observer: createClient(Observer, transport),
    health: createClient(Health, transport),
    peer: createClient(Peer, transport),
    history: createClient(History, transport),
    reflection: createClient(ServerReflection, transport),
  };
}

/** For `tls.connect`, and what is built on it. */
export function tlsOptions({ pair, authorities, serverName, allowInsecure = false }: ClientTls) {
  return {
    ...(pair === undefined ? {} : { cert: pair.certificate, key: pair.key }),
    ...(authorities.length === 0 ? {} : { ca: [...authorities] }),
    ...(serverName === undefined
      ? {}
      : {
          servername: serverName,
          checkServerIdentity: (_host: string, certificate: Parameters<typeof checkServerIdentity>[1]) =>
            checkServerIdentity(serverName, certificate),
        }),
    rejectUnauthorized: !allowInsecure,
    minVersion: "TLSv1.3" as const,
  };
}

/** The path in `unix:///path` or `unix:path`; undefined for other addresses. */
export function unixPathOf(address: string): string | undefined {
  const match = /^unix:(?:\/\/)?(.+)$/.exec(address);
  return match?.[1];
}
