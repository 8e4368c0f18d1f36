import assert from "node:assert/strict";
import { test } from "node:test";
import { junitXml, resultText, summaryText } from "./report.ts";
import type { ScenarioResult } from "./run-scenario.ts";

const passed: ScenarioResult = { name: "one", outcome: "passed", attempts: 4, flows: 4, durationMs: 1_240, problems: [] };
const failed: ScenarioResult = {
  name: "two",
  outcome: "failed",
  attempts: 2,
  flows: 0,
  durationMs: 10,
  problems: ['client <"x">\n: no answer'],
};
const skipped: ScenarioResult = { name: "three", outcome: "skipped", attempts: 0, flows: 0, durationMs: 0, problems: ["no node"] };

test("each scenario is a line, with its problems below", () => {
  assert.equal(resultText(passed, 1, 12), "[ 1/12] one                          ok       4 attempts, 4 seen in Hubble, 1.2 s\n");
  assert.equal(resultText(failed, 2, 2).split("\n")[1], '        client <"x">\\x0a: no answer');
  assert.equal(summaryText([passed, failed, skipped]), "1 of 3 scenarios passed, 1 failed, 1 skipped; 6 attempts\nFailed: two\n");
});

test("build servers get JUnit's XML", () => {
  const xml = junitXml([passed, failed, skipped]);
  assert.match(xml, /<testsuites tests="3" failures="1" skipped="1" time="1\.250">/);
  assert.match(xml, /name="one" time="1\.240"\/>/);
  assert.match(xml, /<failure message="client &lt;&quot;x&quot;&gt;\n: no answer">/);
  assert.match(xml, /<skipped message="no node"\/>/);
});
