import assert from "node:assert/strict";
import { test } from "node:test";
import { openHttpEndpoint } from "@cilium-ts/http-endpoint";
import { Metrics } from "@cilium-ts/metrics";
import { Health } from "./health.ts";
import { apiRoutes, metricsRoutes } from "./routes.ts";

const anyPort = { host: "127.0.0.1", port: 0 };

async function get(port: number, path: string, method = "GET"): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  return `${response.status} ${response.headers.get("content-type")} ${await response.text()}`;
}

test("health is well until the API server has been silent for longer than is bearable", async () => {
  let nowMs = 0;
  const health = new Health(() => nowMs, 30_000);
  await using endpoint = await openHttpEndpoint("API", anyPort, apiRoutes(health, new Metrics()));
  for (const path of ["/healthz", "/v1/healthz"]) assert.equal(await get(endpoint.port, path), "200 text/plain ok");
  assert.equal(health.tell({ kind: "leading" }), true);
  const failing = { kind: "failing", failure: new Error("connection refused") } as const;
  nowMs = 10_000;
  assert.equal(health.tell(failing), true);
  assert.equal(health.tell(failing), false);
  nowMs = 29_000;
  assert.equal(await get(endpoint.port, "/healthz"), "200 text/plain ok");
  nowMs = 30_000;
  assert.equal(await get(endpoint.port, "/healthz"), "500 text/plain the lease cannot be read or written: connection refused");
  health.tell({ kind: "following", leader: "other" });
  assert.equal(await get(endpoint.port, "/healthz"), "200 text/plain ok");
});

test("metrics are served as Prometheus reads them, and as JSON", async () => {
  const metrics = new Metrics();
  metrics.gauge("cilium_operator_leader_election_master_status", "Leads.").set(1);
  await using api = await openHttpEndpoint("API", anyPort, apiRoutes(new Health(() => 0, 1), metrics));
  await using prometheus = await openHttpEndpoint("metrics", anyPort, metricsRoutes(metrics));
  assert.match(await get(prometheus.port, "/metrics"), /^200 text\/plain; version=0\.0\.4; charset=utf-8 # HELP [\s\S]*master_status 1\n$/);
  const expected = '200 application/json [{"name":"cilium_operator_leader_election_master_status","labels":{},"value":1}]';
  for (const path of ["/metrics/", "/v1/metrics/", "/v1/metrics"]) assert.equal(await get(api.port, path), expected);
  assert.equal(await get(api.port, "/v1/cluster?x=y"), "200 application/json []");
});
