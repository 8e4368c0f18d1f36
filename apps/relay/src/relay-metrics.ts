import { Metrics } from "@cilium-ts/metrics";
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
