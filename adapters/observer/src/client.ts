import { connect as connectSocket } from "node:net";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Health } from "./gen/grpc/health/v1/health_pb.js";
import { Observer } from "./gen/observer/observer_pb.js";

export type ObserverClient = Client<typeof Observer>;
export type HealthClient = Client<typeof Health>;

/** Clients for the server at `unix:///path`, or at `host:port` in plain text. Nothing is sent before the first call. */
export function createObserverClients(address: string): { readonly observer: ObserverClient; readonly health: HealthClient } {
  const path = unixPathOf(address);
  const baseUrl = path === undefined ? `http://${address.replace(/^(dns:\/\/\/|tcp:\/\/|http:\/\/)/, "")}` : "http://localhost";
  const transport = createGrpcTransport({
    baseUrl,
    nodeOptions: path === undefined ? {} : { createConnection: () => connectSocket(path) },
  });
  return { observer: createClient(Observer, transport), health: createClient(Health, transport) };
}

/** The path in `unix:///path` or `unix:path`; undefined for other addresses. */
export function unixPathOf(address: string): string | undefined {
  const match = /^unix:(?:\/\/)?(.+)$/.exec(address);
  return match?.[1];
}
