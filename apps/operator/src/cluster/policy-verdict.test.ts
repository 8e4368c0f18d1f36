import assert from "node:assert/strict";
import { test } from "node:test";
import { approval, refusal } from "./policy-verdict.ts";

test("a rule with many problems does not hide those of another", () => {
  const many = Array.from({ length: 50 }, (_, index) => ({ path: `spec.ingress[0].fromCIDR[${index}]`, message: "is wrong" }));
  const { status, message } = refusal([...many, { path: "spec.egress[1].toPorts[0]", message: "is wrong, too" }]);
  assert.equal(status, "False");
  assert.equal(
    message,
    "spec.ingress[0].fromCIDR[0]: is wrong; spec.ingress[0].fromCIDR[1]: is wrong; spec.ingress[0].fromCIDR[2]: is wrong; " +
      "and 47 more in spec.ingress[0]; spec.egress[1].toPorts[0]: is wrong, too",
  );
});

test("what users wrote makes no condition that the API refuses for its size", () => {
  const rules = Array.from({ length: 500 }, (_, index) => ({ path: `spec.ingress[${index}]`, message: "x".repeat(100_000) }));
  assert.ok(refusal(rules).message.length < 32_768);
  assert.match(refusal(rules).message, /; and 480 more rules have problems$/);
  assert.ok(approval(rules.map(({ message }) => message)).message.length < 32_768);
});
