import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FlowRing } from "@cilium-ts/flow";
import { frameRecords, sampleContext, sampleEvents } from "@cilium-ts/flow/testing";
import { eventually } from "@cilium-ts/testing";
import { parseSettings } from "../settings.ts";
import { startFlowConsumers } from "./flow-consumers.ts";

/** A node whose flows go where the arguments say; `DIR` is a folder of its own. */
async function setUp(...args: string[]) {
  const folder = mkdtempSync(join(tmpdir(), "flow-consumers-"));
  const parsed = parseSettings(
    args.map((argument) => argument.replaceAll("DIR", folder)),
    {},
    () => undefined,
  );
  assert.ok(parsed.kind === "options", JSON.stringify(parsed));
  const ring = new FlowRing({ capacity: 63, instance: new Uint8Array(9) });
  const said: string[] = [];
  const log = {
    error: (message: string) => void said.push(message),
    warn: (message: string) => void said.push(message),
    info() {},
    debug() {},
  };
  const events: Array<{ metadata: { namespace: string }; reason: string; message: string; involvedObject: { name: string } }> = [];
  const client = { create: async (_resource: unknown, body: (typeof events)[0]) => void events.push(body) };
  const node = { ring, flows: { context: sampleContext(), watchPodsGone() {} }, endpoints: { index: { byPod: () => [] } } };
  // A clock that is always a little later: files are looked at in every turn.
  const clock = { nowMs: () => Date.now(), sleep: () => new Promise<void>((resolve) => setTimeout(resolve, 5)) };
  const running = await startFlowConsumers(
    { node, options: parsed.options, client, clock, log } as never,
    () => 1_800_000_000_000,
    undefined,
  );
  return {
    ring,
    said,
    events,
    path: (name: string) => join(folder, name),
    see: () => ring.append(frameRecords(sampleEvents())),
    lines: (name: string): string[] => readFileSync(join(folder, name), "utf8").trim().split("\n"),
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

test("nobody looks at flows while nobody wants them", async () => {
  await using node = await setUp();
  assert.equal(node.ring.listenerCount, 0);
});

test("flows go to the file of the settings, and drops to the API server as events of their pods", async () => {
  await using node = await setUp("--hubble-export-file-path", "DIR/events.log", "--hubble-drop-events", "true");
  await eventually(() => assert.equal(node.ring.listenerCount, 1));
  node.see();
  await eventually(() => assert.equal(node.lines("events.log").length, 12));
  assert.deepEqual(
    node.events.map(({ metadata, involvedObject, reason, message }) => [metadata.namespace, involvedObject.name, reason, message]),
    [["default", "client", "PacketDrop", "Outgoing packet dropped (policy_denied) to shop/web (10.0.0.2) TCP/80"]],
  );
});

test("exporters follow their file; one that is wrong is said once and changes nothing", async () => {
  await using node = await setUp("--hubble-flowlogs-config-path", "DIR/flowlogs.yaml");
  await eventually(() => assert.match(node.said.join(), /flowlogs\.yaml: ENOENT.*; what it said before stays in force/));
  writeFileSync(
    node.path("flowlogs.yaml"),
    `flowLogs: [{name: drops, filePath: ${node.path("drops.log")}, includeFilters: [{verdict: [DROPPED]}]}]`,
  );
  await eventually(() => {
    node.see();
    assert.ok(node.lines("drops.log").length >= 2);
  });
  writeFileSync(node.path("flowlogs.yaml"), "flowLogs: [{name: drops}]");
  await eventually(() => assert.match(node.said.join("\n"), /flowLogs\[0\]: drops has no filePath/));
  const before = node.lines("drops.log").length;
  await eventually(() => {
    node.see();
    assert.ok(node.lines("drops.log").length > before);
  });
  assert.equal(node.said.filter((message) => message.includes("no filePath")).length, 1);
});
