import assert from "node:assert/strict";
import { test } from "node:test";
import { formatViewQuery, parseViewQuery } from "./view-query.ts";

test("an address is read as a question, and equal questions have equal addresses", () => {
  const parsed = parseViewQuery(
    new URLSearchParams(
      "namespace=shop&namespace=default,shop&verdict=DROPPED,audit&flows-filter=to:port=80&since=2026-01-02T03:00:00Z&until=2026-01-02T04:00:00Z&theme=dark",
    ),
  );
  assert.equal(parsed.kind, "query");
  assert.equal(
    formatViewQuery(parsed.query).toString(),
    new URLSearchParams({
      namespace: "default,shop",
      verdict: "dropped,audit",
      "flows-filter": "to:port=80",
      since: "2026-01-02T03:00:00.000Z",
      until: "2026-01-02T04:00:00.000Z",
    }).toString(),
  );
});

for (const [text, problem] of [
  ["namespace=No_Name", /namespace: "No_Name"/],
  ["verdict=MAYBE", /there is no "MAYBE", but forwarded/],
  ["flows-filter=port%3Dx", /a port is a number/],
  ["since=yesterday&until=now", /both are needed/],
  ["since=2026-01-02T03:00:00Z", /both are needed/],
  ["since=2026-01-02T03:00:00Z&until=2026-01-01T03:00:00Z", /ends before it begins/],
] as const) {
  test(`${text} is a problem that is told, and the rest of the address still counts`, () => {
    const parsed = parseViewQuery(new URLSearchParams(`${text}&namespace=shop`));
    assert.ok(parsed.kind === "problems" && problem.test(parsed.problems.join()), JSON.stringify(parsed));
    assert.deepEqual(parsed.query.namespaces, ["shop"]);
  });
}
