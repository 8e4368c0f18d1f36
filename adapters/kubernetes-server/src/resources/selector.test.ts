import assert from "node:assert/strict";
import { test } from "node:test";
import { matchesFields, matchesLabels, parseFieldSelector, parseLabelSelector } from "./selector.ts";

const object = {
  metadata: { name: "web", labels: { app: "web", tier: "front", version: "12" } },
  spec: { nodeName: "n1", hostNetwork: true },
};

const labelRows: readonly [string, boolean | RegExp][] = [
  ["", true],
  ["app=web", true],
  ["app==web,tier!=back", true],
  ["app!=web", false],
  ["other!=x", true],
  ["app in (db, web),tier notin (back)", true],
  ["missing in (x)", false],
  ["missing notin (x)", true],
  ["app,!missing", true],
  ["!app", false],
  ["version>11,version<13", true],
  ["example.com/name=x", false],
  ["app=", false],
  ["app in web", /unable to parse/],
  ["=x", /unable to parse/],
  ["app=web tier=front", /unable to parse/],
];
for (const [text, expected] of labelRows) {
  test(`label selector ${JSON.stringify(text)}`, () => {
    const parsed = parseLabelSelector(text);
    if (expected instanceof RegExp) assert.match(parsed.outcome === "problem" ? parsed.problem : "parsed", expected);
    else assert.equal(parsed.outcome === "parsed" && matchesLabels(parsed.selector, object), expected);
  });
}

const fieldRows: readonly [string, boolean | RegExp][] = [
  ["metadata.name=web", true],
  ["metadata.name!=web", false],
  ["spec.nodeName=n1,metadata.name==web", true],
  ["status.phase=", true],
  ["status.phase!=Failed", true],
  ["spec.frob=1", /field label not supported: spec.frob/],
  ["rubbish", /can't understand/],
];
for (const [text, expected] of fieldRows) {
  test(`field selector ${JSON.stringify(text)}`, () => {
    const parsed = parseFieldSelector(text, ["spec.nodeName", "status.phase"]);
    if (expected instanceof RegExp) assert.match(parsed.outcome === "problem" ? parsed.problem : "parsed", expected);
    else assert.equal(parsed.outcome === "parsed" && matchesFields(parsed.selector, object), expected);
  });
}
