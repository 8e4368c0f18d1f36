import { once } from "node:events";
import { createServer } from "node:http";
import { Metrics } from "@cilium-ts/metrics";
import { parseListenAddress } from "@cilium-ts/observer";
import type { Relay } from "./relay.ts";

/** What Prometheus reads of a relay; the first has the name that Cilium's relay gives it. */
export function metricsText(relay: Relay, certificateExpiresMs: () => number | undefined): string {
  const metrics = new Metrics();
  const connections = metrics.gauge("hubble_relay_pool_peer_connection_status", "Nodes by the state of their connection");
  const counts = { connected: 0, connecting: 0, unavailable: 0 };
  for (const { state } of relay.pool.peers()) counts[state.kind] += 1;
  for (const [status, count] of Object.entries(counts)) connections.set(count, { status });
  metrics.gauge("hubble_relay_peer_service_connected", "Whether the nodes are being told").set(relay.pool.serviceConnected ? 1 : 0);
  metrics.gauge("hubble_relay_streams", "Streams to clients under way").set(relay.server.streamCount);
  metrics.counter("hubble_relay_messages_total", "Messages passed on to clients").increase({}, relay.messages);
  metrics.counter("hubble_relay_refused_total", "Clients and calls that found the relay full").increase({}, relay.server.refused);
  const expiresMs = certificateExpiresMs();
  if (expiresMs !== undefined && Number.isFinite(expiresMs))
    metrics.gauge("hubble_relay_tls_certificate_expiry_timestamp_seconds", "When the first certificate in use ends").set(expiresMs / 1_000);
  return metrics.text();
}

/** Serves `GET /metrics` until disposed. */
export async function startMetricsServer(address: string, text: () => string): Promise<AsyncDisposable> {
  const { host, port } = parseListenAddress(address);
  const server = createServer((request, response) => {
    if (request.method !== "GET" || request.url !== "/metrics") {
      response.writeHead(404).end("only GET /metrics is served here\n");
      return;
    }
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }).end(text());
  });
  server.listen({ port, ...(host === "" ? {} : { host }) });
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new Error(`cannot serve metrics on ${address}; is another program there?`, { cause });
  }
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      if (server.listening) await once(server, "close");
    },
  };
}
