import type { Metrics } from "@cilium-ts/metrics";
import type { Health } from "./health.ts";
import type { Answer } from "./http-endpoint.ts";

/** The operator's API, of contracts of Cilium's operator: each path with and without the prefix of its version. */
export function apiRoutes(health: Health, metrics: Metrics): Readonly<Record<string, () => Answer>> {
  const healthz = (): Answer => {
    const problem = health.problem();
    return { status: problem === undefined ? 200 : 500, contentType: "text/plain", body: problem ?? "ok" };
  };
  const samples = (): Answer => json(metrics.samples());
  return {
    "/healthz": healthz,
    "/v1/healthz": healthz,
    "/metrics/": samples,
    "/v1/metrics": samples,
    "/v1/metrics/": samples,
    /** Clusters that this one is connected to: none, as there is no cluster mesh yet. */
    "/v1/cluster": () => json([]),
  };
}

export function metricsRoutes(metrics: Metrics): Readonly<Record<string, () => Answer>> {
  return { "/metrics": () => ({ status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", body: metrics.text() }) };
}

function json(value: unknown): Answer {
  return { status: 200, contentType: "application/json", body: JSON.stringify(value) };
}
