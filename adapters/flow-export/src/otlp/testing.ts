import assert from "node:assert/strict";
import { decodeFlow, EndpointResolver, EventView } from "@cilium-ts/flow";
import { sampleContext, sampleEvents } from "@cilium-ts/flow/testing";
import { OtlpLogs } from "./otlp-logs.ts";
import type { OtlpConnection } from "./otlp-transport.ts";

/** Records for a collector, by a clock that does not wait and notes for how long it should have. */
export function openLogs(endpoint: string, connection: Partial<OtlpConnection> = {}) {
  const problems: string[] = [];
  const sleeps: number[] = [];
  const clock = {
    nowMs: () => 1_767_225_605_000,
    async sleep(delayMs: number) {
      sleeps.push(delayMs);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
  const resource = { "service.name": "hubble", "k8s.node.name": "n1" };
  const scope = { name: "cilium-ts", version: "0.1.0" };
  const whole = { headers: {}, caFile: "", certFile: "", keyFile: "", ...connection };
  const onProblem = (message: string): void => void problems.push(message);
  return { logs: new OtlpLogs({ endpoint, connection: whole, resource, scope, clock, onProblem }), problems, sleeps };
}

export const drop = (() => {
  const event = new EventView(new EndpointResolver(sampleContext()));
  assert.ok(event.loadRecord(sampleEvents()[1] ?? new Uint8Array(0)));
  return decodeFlow(event) ?? assert.fail();
})();
