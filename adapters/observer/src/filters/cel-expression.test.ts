import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointResolver, EventView } from "@cilium-ts/flow";
import { sampleContext, sampleEvents } from "@cilium-ts/flow/testing";
import { compileCelExpression } from "./cel-expression.ts";

/** Numbers of the sample events that match. */
function matching(expression: string): number[] {
  const compiled = compileCelExpression(expression);
  assert.ok("matches" in compiled, "problem" in compiled ? compiled.problem : "");
  const event = new EventView(new EndpointResolver(sampleContext()));
  return sampleEvents().flatMap((record, index) => (event.loadRecord(record) && compiled.matches(event) ? [index + 1] : []));
}

for (const [expression, expected] of [
  ["true", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
  ["_flow.verdict == Verdict.DROPPED", [2, 12]],
  ["_flow.verdict == flow.Verdict.DROPPED && _flow.drop_reason_desc == DropReason.POLICY_DENY", [12]],
  ["_flow.l4.UDP.destination_port == 53u", [5]],
  ["has(_flow.l4.ICMPv6)", [6]],
  ["_flow.source.labels.exists(label, label == 'k8s:app=web')", [4, 8, 9]],
  ["_flow.l7.http.code >= 500u", [8]],
  ["_flow.l7.http.url.matches('^http://web[.]shop/page/[0-9]+')", [7, 8]],
  ["_flow.destination.workloads[0].name == 'client'", [4, 8, 9]],
  ["_flow.time > timestamp('2026-01-01T00:00:11Z')", [12]],
  ["_flow.ingress_allowed_by.exists(policy, policy.name == 'web')", [3]],
  ["_flow.is_reply == true && _flow.Type == FlowType.L3_L4", [4]],
] as const) {
  test(`CEL: ${expression}`, () => assert.deepEqual(matching(expression), expected));
}

for (const [expression, problem] of [
  ["", /./],
  ["_flow.verdict ==", /./],
  ["_flow.verdict", /no bool/],
  ["_flow.is_reply", /no bool/],
  ["'text'", /no bool/],
  ["_flow.nonsense == 1", /nonsense/],
  ["_flow.source.pod == 'a'", /pod/],
  ["flow.verdict == 2", /./],
  ["nonsense(_flow)", /nonsense/],
  ["_flow.node_name.matches('a(?=b)')", /\(\?=/],
  ["_flow.verdict == 'DROPPED' || 1", /./],
  [`true || ${"false || ".repeat(300)}false`, /it has \d+ characters; at most 2048/],
  ["_flow.node_labels.all(a, _flow.node_labels.all(b, _flow.node_labels.all(c, a == b || b == c)))", /may take \d+ steps/],
  ["_flow.node_labels.map(a, _flow.node_labels.map(b, a + b)).exists(list, list.exists(text, text.matches('x')))", /may take \d+ steps/],
] as const) {
  test(`CEL is refused: ${expression.slice(0, 60)}`, () => {
    const compiled = compileCelExpression(expression);
    assert.ok("problem" in compiled, "it was taken");
    assert.match(compiled.problem, problem);
  });
}

test("an expression that fails on a flow does not match it", () => {
  assert.deepEqual(matching("_flow.node_labels[1] == 'zone=a' && _flow.source.workloads[0].name == 'client'"), [1, 2, 3, 5, 6, 7, 11]);
  assert.deepEqual(matching("_flow.node_labels[7] == 'zone=a'"), []);
});
