import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCiliumCidrGroup } from "./cilium-cidr-group.ts";

const group = (spec: unknown, metadata: object = { name: "office" }): unknown => ({
  apiVersion: "cilium.io/v2",
  kind: "CiliumCIDRGroup",
  metadata,
  spec,
});

test("a group has each of its CIDRs once, and its labels", () => {
  const { group: parsed, problems } = parseCiliumCidrGroup(
    group({ externalCIDRs: ["10.1.2.3/8", "10.0.0.0/8", "fd00::1"] }, { name: "office", labels: { kind: "vpn" } }),
  );
  assert.deepEqual(problems, []);
  assert.deepEqual([parsed?.name, parsed?.labels.format(), parsed?.cidrs], ["office", ["k8s:kind=vpn"], ["10.0.0.0/8", "fd00::1/128"]]);
});

test("an empty group is a group", () => {
  assert.deepEqual(parseCiliumCidrGroup(group({ externalCIDRs: [] })).group?.cidrs, []);
});

for (const [name, object, path] of [
  ["a bad CIDR", group({ externalCIDRs: ["10.0.0.0/8", "x"] }), "spec.externalCIDRs[1]"],
  ["no list", group({}), "spec.externalCIDRs"],
  ["no spec", group(undefined), "spec"],
  ["an unknown field", group({ externalCIDRs: [], cidrs: [] }), "spec.cidrs"],
  ["no name", group({ externalCIDRs: [] }, {}), "metadata.name"],
] as const) {
  test(`${name} makes no group`, () => {
    const { group: parsed, problems } = parseCiliumCidrGroup(object);
    assert.equal(parsed, undefined);
    assert.ok(
      problems.some((problem) => problem.path === path),
      JSON.stringify(problems),
    );
  });
}
