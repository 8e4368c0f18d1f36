import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFixtures } from "./fixtures/parse-fixtures.ts";
import { createObserverClients } from "./index.ts";
import { checkFixture, readFixtures, SampleNode } from "./testing.ts";

for (const [name, fixtures] of readFixtures()) {
  for (const fixture of fixtures) {
    test(`${name}: ${fixture.title}`, async () => {
      await using node = await SampleNode.start();
      const { observer } = createObserverClients(node.address);
      const callBegun = (): void => assert.ok(node.readerCount > 0, "the call has not reached the node");
      await checkFixture(fixture, { observer, node, callBegun });
    });
  }
}

test("a case that expects what does not come fails, and a line that means nothing is named", async () => {
  await using node = await SampleNode.start();
  const { observer } = createObserverClients(node.address);
  const [wrong] = parseFixtures("== wrong\nseen 1-3\nGetFlows {}\nrefuses InvalidArgument nothing", "here");
  assert.ok(wrong !== undefined);
  await assert.rejects(checkFixture(wrong, { observer, node, callBegun() {} }), /was not refused/);
  assert.throws(() => parseFixtures("== wrong\ngive 1", "here"), /here:2: "give 1" means nothing/);
});
