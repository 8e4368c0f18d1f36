import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openAgentSocket } from "./agent-socket.ts";
import { AgentApiError, AgentClient } from "./client.ts";
import { healthBasePath, healthRoutes } from "./health-routes.ts";
import { serveAgentApi } from "./serve.ts";

test("the health API is under its own base path, and under no other", async () => {
  const directory = mkdtempSync(join(tmpdir(), "cilium-ts-health-"));
  const socketPath = join(directory, "health.sock");
  const { signal } = new AbortController();
  const stop = new AbortController();
  const asked: string[] = [];
  const status = { timestamp: "", probeInterval: "60s", local: { name: "default/here" }, nodes: [] };
  const told = (what: string) => async () => {
    asked.push(what);
    return status;
  };
  const health = async () => ({ cilium: {}, uptime: "1s", "system-load": { last1min: "0.00", last5min: "0.00", last15min: "0.00" } });
  await using socket = await openAgentSocket({ socketPath });
  const routes = healthRoutes({ health, status: told("status"), probe: told("probe") });
  const serving = serveAgentApi({ socket, routes, basePath: healthBasePath, signal: stop.signal });
  using client = new AgentClient({ socketPath, basePath: healthBasePath });
  using other = new AgentClient({ socketPath });
  assert.deepEqual(await client.call("GET", "/status", signal), status);
  assert.deepEqual(await client.call("PUT", "/status/probe", signal), status);
  assert.deepEqual(await client.call("GET", "/healthz", signal), await health());
  assert.deepEqual(asked, ["status", "probe"]);
  await assert.rejects(other.call("GET", "/status", signal), AgentApiError);
  stop.abort();
  await serving;
  rmSync(directory, { recursive: true });
});
