import assert from "node:assert/strict";
import { test } from "node:test";
import { validators } from "./validators.ts";

const metadata = { name: "x", namespace: "shop" };

for (const [kind, object, path] of [
  [
    "CiliumNetworkPolicy",
    { metadata, spec: { endpointSelector: {}, ingress: [{ fromCIDR: ["10.0.0.0/33"] }] } },
    "spec.ingress[0].fromCIDR[0]",
  ],
  ["CiliumClusterwideNetworkPolicy", { metadata: { name: "x" }, spec: { nodeSelector: {}, ingress: [{}] } }, "spec.nodeSelector"],
  ["NetworkPolicy", { metadata, spec: { podSelector: {}, ingress: [{ from: [{}] }] } }, "spec.ingress[0].from[0]"],
  ["CiliumCIDRGroup", { metadata: { name: "x" }, spec: { externalCIDRs: ["everywhere"] } }, "spec.externalCIDRs[0]"],
] as const) {
  test(`a ${kind} that the agent could not read is refused, with the field`, () => {
    const causes = validators[kind]?.(structuredClone(object) as never) ?? [];
    assert.deepEqual(
      causes.map((cause) => [cause.path, cause.reason]),
      [[path, "FieldValueInvalid"]],
    );
  });
}

test("what an agent may have turned on is not refused", () => {
  const spec = { endpointSelector: {}, ingress: [{ fromNodes: [{ matchLabels: { zone: "a" } }] }] };
  assert.deepEqual(validators.CiliumNetworkPolicy?.({ metadata, spec } as never), []);
});
