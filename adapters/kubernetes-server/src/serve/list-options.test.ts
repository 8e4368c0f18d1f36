import assert from "node:assert/strict";
import { test } from "node:test";
import { listAt, textAt } from "../resources/column.ts";
import type { Mutable } from "../schema/schema.ts";
import { createMemoryStore } from "../testing/memory-store.ts";
import { createTestClient } from "../testing/test-client.ts";
import { startTestServer } from "../testing/test-server.ts";

const maps = "/api/v1/namespaces/default/configmaps";
const names = (list: Mutable) => listAt(list, "items").map((item) => textAt(item, "metadata", "name"));

test("a list shows the state that its options ask for", async (t) => {
  await using server = await startTestServer({ definitions: [] });
  const client = createTestClient(server.url);
  await client.post(maps, { metadata: { name: "a" } });
  const { body: made } = await client.post(maps, { metadata: { name: "b" } });
  const then = textAt(made, "metadata", "resourceVersion");
  const { body: last } = await client.post(maps, { metadata: { name: "c" } });
  const now = textAt(last, "metadata", "resourceVersion");
  const rows: readonly [string, string, string[], string][] = [
    ["nothing", "", ["a", "b", "c"], now],
    ["any", "resourceVersion=0", ["a", "b", "c"], now],
    ["at least a revision", `resourceVersion=${then}&resourceVersionMatch=NotOlderThan`, ["a", "b", "c"], now],
    ["a revision, loosely", `resourceVersion=${then}`, ["a", "b", "c"], now],
    ["exactly a revision", `resourceVersion=${then}&resourceVersionMatch=Exact`, ["a", "b"], then],
    ["a page at a revision", `resourceVersion=${then}&limit=5`, ["a", "b"], then],
    ["a page of any", "resourceVersion=0&limit=5", ["a", "b", "c"], now],
  ];
  for (const [name, query, expected, revision] of rows) {
    await t.test(name, async () => {
      const { body } = await client.get(`${maps}?${query}`);
      assert.deepEqual([names(body), textAt(body, "metadata", "resourceVersion")], [expected, revision]);
    });
  }
});

test("options that contradict each other are refused in Kubernetes' words", async (t) => {
  await using server = await startTestServer({ definitions: [] });
  const client = createTestClient(server.url);
  const rows: readonly [string, number, RegExp][] = [
    ["resourceVersionMatch=Exact", 422, /forbidden unless resourceVersion is provided/],
    ["resourceVersion=0&resourceVersionMatch=Exact", 422, /"exact" is forbidden for resourceVersion "0"/],
    ["resourceVersion=1&resourceVersionMatch=Frob", 422, /Unsupported value: "Frob": supported values: "Exact", "NotOlderThan"/],
    ["sendInitialEvents=true", 422, /sendInitialEvents is forbidden for list/],
    ["watch=1&sendInitialEvents=true", 422, /requires setting resourceVersionMatch to NotOlderThan/],
    ["watch=1&resourceVersion=1&resourceVersionMatch=NotOlderThan", 422, /forbidden for watch unless sendInitialEvents/],
    ["continue=abc&resourceVersion=1&resourceVersionMatch=Exact", 422, /forbidden when continue is provided/],
    ["continue=abc&resourceVersion=5", 400, /not allowed when using continue/],
  ];
  for (const [query, code, message] of rows) {
    await t.test(query, async () => {
      const answer = await client.get(`${maps}?${query}`);
      assert.deepEqual([answer.code, message.test(String(answer.body.message))], [code, true], String(answer.body.message));
    });
  }
});

test("a list whose history is gone in the middle can be finished with the token of the refusal", async () => {
  const store = createMemoryStore({ revisionsMax: 20, sizeBytesMax: 10_000_000 });
  await using server = await startTestServer({ definitions: [], store });
  const client = createTestClient(server.url);
  for (const name of ["a", "b", "c"]) await client.post(maps, { metadata: { name } });
  const { body: page } = await client.get(`${maps}?limit=1`);
  for (let index = 0; index < 40; index += 1) await client.patch(`${maps}/b`, "merge", { data: { x: String(index) } });
  const refused = await client.get(`${maps}?limit=1&continue=${textAt(page, "metadata", "continue")}`);
  assert.deepEqual([refused.code, refused.body.reason], [410, "Expired"]);
  const { body: rest } = await client.get(`${maps}?limit=5&continue=${textAt(refused.body, "metadata", "continue")}`);
  assert.deepEqual(names(rest), ["b", "c"]);
  await store[Symbol.asyncDispose]();
});
