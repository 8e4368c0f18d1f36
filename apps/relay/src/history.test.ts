import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FlowRing } from "@cilium-ts/flow";
import { buildPacket, buildTrace, frameRecords, sampleContext } from "@cilium-ts/flow/testing";
import { FlowStore } from "@cilium-ts/flow-store";
import { startHubble } from "@cilium-ts/observer";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { startTestRelay } from "./testing.ts";

const packet = buildPacket({ source: "10.0.0.1", destination: "10.0.0.2", tcp: { sourcePort: 40_000, destinationPort: 80, flags: 2 } });
const bootSeconds = 1_767_225_600; // Of the sample context.

/** One life of an agent on the folder: a ring of seven, its history, and a server on the socket. */
async function startAgent(folder: string) {
  const ring = new FlowRing({ capacity: 7, instance: randomBytes(9) });
  const context = sampleContext();
  const ages = { sizeBytesMax: 1e6, ageMsMax: 1e15 };
  const settings = { directory: join(folder, "history"), ...ages, traffic: ages };
  const store = new FlowStore({ ...settings, ring, context, clock: systemClock, onProblem: assert.fail });
  const stop = new AbortController();
  const running = store.run(stop.signal);
  await store.blocks();
  let server: Awaited<ReturnType<typeof startHubble>> | undefined;
  return {
    async serve(): Promise<void> {
      server = await startHubble({ socketPath: join(folder, "hubble.sock"), ring, history: store, context, version: "0.1.0" });
    },
    /** Event n happens at n tenths of a second. */
    see(first: number, last: number): void {
      for (let n = first; n <= last; n += 1) ring.append(frameRecords([buildTrace({ timeNs: n * 1e8, packet, point: 0, reason: 0 })]));
    },
    async [Symbol.asyncDispose]() {
      await server?.[Symbol.asyncDispose]();
      stop.abort();
      await running;
    },
  };
}

test("a follow outlives the restart of a node: what it saw meanwhile is told once, though its ring has forgotten it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "relay-history-"));
  await using opened = new AsyncDisposableStack();
  opened.defer(() => rmSync(folder, { recursive: true }));
  const { service, clients, connected } = opened.use(await startTestRelay());
  service.add("n1", `unix://${join(folder, "hubble.sock")}`);
  const first = await startAgent(folder);
  await first.serve();
  await connected(1);
  const leave = new AbortController();
  const tenths: number[] = [];
  const reading = (async () => {
    for await (const { responseTypes } of clients.observer.getFlows(
      { follow: true, since: { seconds: BigInt(bootSeconds), nanos: 0 } },
      { signal: leave.signal },
    ))
      if (responseTypes.case === "flow")
        tenths.push(
          Number(responseTypes.value.time?.seconds) * 10 - bootSeconds * 10 + Math.round((responseTypes.value.time?.nanos ?? 0) / 1e8),
        );
  })();
  reading.catch(() => {});
  first.see(1, 40);
  const all = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);
  await eventually(() => assert.deepEqual(tenths, all(40)));
  await first[Symbol.asyncDispose]();
  await connected(0);
  await using second = await startAgent(folder);
  second.see(41, 80);
  await second.serve();
  await eventually(() => assert.deepEqual(tenths, all(80)));
  second.see(81, 86);
  await eventually(() => assert.deepEqual(tenths, all(86)));
  leave.abort();
  await assert.rejects(reading);
});
