import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { suggestTerms } from "../filters/suggestions.ts";
import { madeFlow, madeService } from "../made-view.ts";
import { columns, columnsOf, reasonOf, usualColumns } from "./columns.ts";
import { flowsToCsv, flowsToJsonLines } from "./export-flows.ts";

suite("the table", () => {
  test("shows the chosen columns, and the usual ones for names that it does not know", () => {
    assert.deepEqual(
      columnsOf(["node", "time", "moon"]).map(({ id }) => id),
      ["time", "node"],
    );
    assert.deepEqual(
      columnsOf(["moon"]).map(({ id }) => id),
      usualColumns,
    );
    assert.equal(new Set(columns.map(({ id }) => id)).size, columns.length);
  });

  const denied = { effect: "denied", direction: "ingress", kind: "CiliumNetworkPolicy", namespace: "shop", name: "no-web" } as const;
  for (const [what, flow, reason] of [
    ["a policy that denies", { verdict: "dropped", dropReason: "POLICY_DENY", policies: [denied] }, "denied by shop/no-web"],
    ["that nothing allows it", { verdict: "dropped", dropReason: "POLICY_DENIED" }, "no policy allows it"],
    ["the datapath's reason", { verdict: "dropped", dropReason: "INVALID_SOURCE_IP" }, "invalid source ip"],
    ["a policy that allows", { policies: [{ ...denied, effect: "allowed", name: "web" }] }, "allowed by shop/web"],
    ["nothing that it does not know", {}, ""],
  ] as const) {
    test(`names ${what}`, () => assert.equal(reasonOf(madeFlow("a", flow)), reason));
  }
});

suite("exported flows", () => {
  test("are CSV that spreadsheets read and do not run", () => {
    const flow = madeFlow("a", { summary: '=HYPERLINK("x"),y', node: "n,1" });
    const csv = flowsToCsv([flow], columnsOf(["time", "node", "summary"]));
    assert.equal(csv, `Time,Summary,Node\r\n1970-01-01T00:00:01.000Z,"'=HYPERLINK(""x""),y","n,1"`);
  });

  test("are one JSON object a line", () => {
    const lines = flowsToJsonLines([madeFlow("a"), madeFlow("b")]).split("\n");
    assert.deepEqual(
      lines.map((line) => JSON.parse(line).uuid),
      ["a", "b"],
    );
  });
});

suite("suggestions", () => {
  const services = [madeService("1", { labels: ["k8s:app=web", "reserved:host"], identity: 17, names: ["api.example.com"] })];
  const flows = [madeFlow("a")];
  for (const [text, expected] of [
    ["!po", ["!pod=", "!port=", "!policy-name="]],
    ["protocol=", ["protocol=TCP"]],
    ["node-name=", ["node-name=node1"]],
    ["to:po", ["to:pod=", "to:port="]],
    ["!pod=", ["!pod=shop/api", "!pod=shop/web"]],
    ["to:pod=we", ["to:pod=shop/web"]],
    ["port=", ["port=80"]],
    ["app", ["app=web"]],
    ["identity=", ["identity=17"]],
    ["dns=api", ["dns=api.example.com"]],
    ["tcp-flag=SY", ["tcp-flag=SYN"]],
    ["moon=", []],
  ] as const) {
    test(`for "${text}" are ${expected.join(" ") || "none"}`, () => assert.deepEqual(suggestTerms(text, services, flows), expected));
  }
});
