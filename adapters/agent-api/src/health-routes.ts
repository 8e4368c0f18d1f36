import { found } from "./answer.ts";
import type { HealthResponse, HealthStatusResponse } from "./health-shapes.ts";
import { type Route, route } from "./router.ts";

/** Below this, on the health socket: `serveAgentApi` with it as `basePath`. */
export const healthBasePath = "/v1beta";

export interface HealthOperations {
  health(signal: AbortSignal): Promise<HealthResponse>;
  /** Of the last round of probes. */
  status(signal: AbortSignal): Promise<HealthStatusResponse>;
  /** Probes every path now, and waits for what comes of it. */
  probe(signal: AbortSignal): Promise<HealthStatusResponse>;
}

/** The API of the health socket, by the contracts' table. */
export function healthRoutes(operations: HealthOperations): Route[] {
  return [
    route("GET", "/healthz", async ({ signal }) => found(await operations.health(signal))),
    route("GET", "/status", async ({ signal }) => found(await operations.status(signal))),
    route("PUT", "/status/probe", async ({ signal }) => found(await operations.probe(signal))),
  ];
}
