import assert from "node:assert/strict";
import { test } from "node:test";
import { createObserverClients } from "@cilium-ts/observer";
import { checkFixture, readFixtures, SampleNode } from "@cilium-ts/observer/testing";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { startRelay } from "./relay.ts";
import { ScriptedPeerService } from "./testing.ts";

const log = { error() {}, warn() {}, info() {}, debug() {} };

/** Where the relay differs on purpose: it asks for the time too, because without it nothing can be put in order, and passes it on. */
const withTime = "a mask leaves what it names;";

/** What a relay before one node answers is what the node answers: the cases are those of the server. */
for (const [name, fixtures] of readFixtures()) {
  for (const fixture of fixtures.filter(({ title }) => !title.startsWith(withTime))) {
    test(`through the relay, ${name}: ${fixture.title}`, async () => {
      await using opened = new AsyncDisposableStack();
      const node = opened.use(await SampleNode.start());
      const service = opened.use(await ScriptedPeerService.start());
      service.add("n1", node.address);
      const relay = opened.use(
        await startRelay({
          clock: systemClock,
          log,
          version: "0.1.0",
          nodeName: "relay-host",
          listenAddress: "127.0.0.1:0",
          healthListenAddress: "",
          peerServices: [() => ({ address: service.address })],
          clientTls: () => undefined,
          retryTimeoutMs: 50,
          holdMs: 0,
          heldMax: 1_000,
        }),
      );
      const connected = (): boolean => relay.pool.peers().some(({ connection }) => connection !== undefined);
      await eventually(() => assert.ok(connected()));
      const { observer } = createObserverClients(relay.address);
      const callBegun = (): void => assert.ok(node.readerCount > 0, "the call has not reached the node");
      await checkFixture(fixture, { observer, node, callBegun });
    });
  }
}
