import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeFlow, EndpointResolver, EventView } from "@cilium-ts/flow";
import { buildDrop, buildPacket, sampleContext, sampleEvents } from "@cilium-ts/flow/testing";
import { eventually } from "@cilium-ts/testing";
import { type DropEvent, DropEvents } from "./drop-events.ts";

function setUp(write?: (event: DropEvent) => Promise<void>) {
  const written: string[] = [];
  const problems: string[] = [];
  const clock = { ms: 0, nowMs: () => clock.ms, sleep: async () => {} };
  const events = new DropEvents({
    intervalMs: 120_000,
    reasons: ["policy_denied", "policy_deny"],
    clock,
    uidOf: () => "u1",
    write: write ?? (async ({ namespace, podName, podUid, message }) => void written.push(`${namespace}/${podName} ${podUid} ${message}`)),
    onProblem: (message) => void problems.push(message),
  });
  const view = new EventView(new EndpointResolver(sampleContext()));
  const see = (record: Uint8Array): void => {
    assert.ok(view.loadRecord(record));
    const flow = events.wants(view) ? decodeFlow(view) : undefined;
    if (flow !== undefined) events.consume(flow);
  };
  return { events, written, problems, clock, see };
}

test("a pod is told of its drops, the same one once an interval", async () => {
  const { events, written, clock, see } = setUp();
  for (const record of sampleEvents()) see(record);
  for (const record of sampleEvents()) see(record);
  const client = "default/client u1 Outgoing packet dropped (policy_denied) to shop/web (10.0.0.2) TCP/80";
  const web = "shop/web u1 Incoming packet dropped (policy_deny) from world (198.51.100.9) TCP/80";
  await eventually(() => assert.deepEqual(written, [client, web]));
  clock.ms = 120_001;
  for (const record of sampleEvents()) see(record);
  await eventually(() => assert.deepEqual(written, [client, web, client, web]));
  assert.equal(events.refused, 0);
});

test("an API server that does not take events is said once, and drops without end wait up to a limit", async () => {
  const { events, problems, see } = setUp(async () => {
    throw new Error("no such server");
  });
  for (let port = 1; port <= 300; port += 1) {
    const packet = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", tcp: { sourcePort: 1, destinationPort: port, flags: 2 } });
    see(buildDrop({ reason: 133, reporter: 11, sourceIdentity: 1001, destinationIdentity: 1002, packet }));
  }
  await eventually(() => assert.equal(events.refused, 300));
  assert.deepEqual(problems, ["drops cannot be told as Kubernetes events: no such server"]);
});
