import { type HttpAnswer, type HttpRoutes, prometheusAnswer } from "@cilium-ts/http-endpoint";
import type { Metrics } from "@cilium-ts/metrics";
import type { Health } from "./health.ts";

/** The operator's API, of contracts of Cilium's operator: each path with and without the prefix of its version. */
export function apiRoutes(health: Health, metrics: Metrics): HttpRoutes {
  const healthz = (): HttpAnswer => {
    const problem = health.problem();
    return { status: problem === undefined ? 200 : 500, contentType: "text/plain", body: problem ?? "ok" };
  };
  const samples = (): HttpAnswer => json(metrics.samples());
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

export function metricsRoutes(metrics: Metrics): HttpRoutes {
  return { "/metrics": () => prometheusAnswer(metrics.text()) };
}

function json(value: unknown): HttpAnswer {
  return { status: 200, contentType: "application/json", body: JSON.stringify(value) };
}
