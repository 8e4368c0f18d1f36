import assert from "node:assert/strict";
import { test } from "node:test";
import { validators } from "./validators.ts";

function problemsOf(spec: object): string[] {
  const object = { apiVersion: "cilium.io/v2", kind: "CiliumNetworkPolicy", metadata: { namespace: "default", name: "some" }, spec };
  return (validators.CiliumNetworkPolicy?.(object as never) ?? []).map(({ path, message }) => `${path}: ${message}`);
}

const endpointSelector = {};

test("a policy that the agent can enforce has no problems", () => {
  assert.deepEqual(problemsOf({ endpointSelector, ingress: [{ fromEndpoints: [{ matchLabels: { app: "client" } }] }] }), []);
});

const rows: ReadonlyArray<{ what: string; spec: object; says: RegExp }> = [
  {
    what: "a CIDR that is none",
    spec: { endpointSelector, ingress: [{ fromCIDR: ["10.0.0.300/8"] }] },
    says: /^spec\.ingress\[0\]\.fromCIDR\[0\]: "10\.0\.0\.300\/8" is no CIDR; write an address and a length/,
  },
  {
    what: "a port beyond 65535",
    spec: { endpointSelector, ingress: [{ toPorts: [{ ports: [{ port: "70000", protocol: "TCP" }] }] }] },
    says: /^spec\.ingress\[0\]\.toPorts\[0\]\.ports\[0\]\.port: "70000" is no port; write a number from 0 to 65535/,
  },
  {
    what: "two kinds of peers in one rule",
    spec: { endpointSelector, ingress: [{ fromEndpoints: [{}], fromEntities: ["world"] }] },
    says: /^spec\.ingress\[0\]\.fromEntities: cannot stand beside fromEndpoints: a rule has one kind of peers/,
  },
];

for (const { what, spec, says } of rows) {
  test(`${what} is a problem of its field`, () => {
    const problems = problemsOf(spec);
    assert.equal(problems.length, 1, problems.join("\n"));
    assert.match(problems[0] ?? "", says);
  });
}

const metadata = { name: "x", namespace: "shop" };

for (const [kind, object, path] of [
  [
    "CiliumNetworkPolicy",
    { metadata, spec: { endpointSelector: {}, ingress: [{ fromCIDR: ["10.0.0.0/33"] }] } },
    "spec.ingress[0].fromCIDR[0]",
  ],
  [
    "CiliumClusterwideNetworkPolicy",
    { metadata: { name: "x" }, spec: { nodeSelector: {}, endpointSelector: {}, ingress: [{}] } },
    "spec.nodeSelector",
  ],
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
  const ofNodes = { nodeSelector: {}, ingress: [{}] };
  assert.deepEqual(validators.CiliumClusterwideNetworkPolicy?.({ metadata: { name: "x" }, spec: ofNodes } as never), []);
});
