import assert from "node:assert/strict";
import { test } from "node:test";
import { checkFixture, readFixtures, SampleNode } from "@cilium-ts/observer/testing";
import { startTestRelay } from "./testing.ts";

/** Where the relay differs on purpose: it asks for the time too, because without it nothing can be put in order, and passes it on. */
const withTime = "a mask leaves what it names;";

/** What a relay before one node answers is what the node answers: the cases are those of the server. */
for (const [name, fixtures] of readFixtures()) {
  for (const fixture of fixtures.filter(({ title }) => !title.startsWith(withTime))) {
    test(`through the relay, ${name}: ${fixture.title}`, async () => {
      await using opened = new AsyncDisposableStack();
      const node = opened.use(await SampleNode.start());
      const { service, clients, connected } = opened.use(await startTestRelay());
      service.add("n1", node.address);
      await connected(1);
      const { observer } = clients;
      const callBegun = (): void => assert.ok(node.readerCount > 0, "the call has not reached the node");
      await checkFixture(fixture, { observer, node, callBegun });
    });
  }
}
