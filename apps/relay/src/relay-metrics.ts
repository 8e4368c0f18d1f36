import { Metrics } from "@cilium-ts/metrics";
import { type EndedCall, GrpcCode } from "@cilium-ts/observer";
import type { Relay } from "./relay.ts";

const codeNames = new Map<number, string>(Object.entries(GrpcCode).map(([name, code]) => [code, name[0]?.toUpperCase() + name.slice(1)]));
const secondsBounds = [0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600];

/** Calls of clients, under the names that Go's servers give them. */
export class CallMetrics {
  readonly #registry = new Metrics();
  readonly #handled = this.#registry.counter("grpc_server_handled_total", "Calls that have ended, by status");
  readonly #seconds = this.#registry.histogram("grpc_server_handling_seconds", "How long they took", secondsBounds);

  ended({ path, code, seconds }: EndedCall): void {
    const [, service = "", method = ""] = path.split("/");
    const labels = { grpc_service: service, grpc_method: method };
    this.#handled.increase({ ...labels, grpc_code: codeNames.get(code) ?? String(code) });
    this.#seconds.observe(seconds, labels);
  }

  text(): string {
    return this.#registry.text();
  }
}

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
  return `${metrics.text()}${relay.calls.text()}`;
}
