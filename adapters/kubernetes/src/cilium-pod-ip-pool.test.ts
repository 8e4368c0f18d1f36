import assert from "node:assert/strict";
import { test } from "node:test";
import { formatPrefix } from "@cilium-ts/net";
import { parseCiliumPodIPPool, poolSelectorLabels } from "./cilium-pod-ip-pool.ts";

const metadata = { name: "blue" };

test("a pool has CIDRs of one family or both, and says whose they are", () => {
  const spec = {
    ipv4: { cidrs: ["10.1.0.0/16", "10.2.0.0/16"], maskSize: 27 },
    ipv6: { cidrs: ["fd00:1::/104"], maskSize: 122 },
    podSelector: { matchLabels: { "io.kubernetes.pod.name": "web" } },
    namespaceSelector: { matchExpressions: [{ key: "team", operator: "In", values: ["blue"] }] },
  };
  const { pool, problems } = parseCiliumPodIPPool({ metadata, spec });
  assert.deepEqual(problems, []);
  assert.deepEqual([pool?.ipv4?.prefixes.map(formatPrefix), pool?.ipv4?.maskSize], [["10.1.0.0/16", "10.2.0.0/16"], 27]);
  assert.deepEqual([pool?.ipv6?.prefixes.map(formatPrefix), pool?.ipv6?.maskSize], [["fd00:1::/104"], 122]);
  assert.equal(pool?.podSelector?.matches(poolSelectorLabels({ "io.kubernetes.pod.name": "web" })), true);
  assert.equal(pool?.namespaceSelector?.matches(poolSelectorLabels({ team: "red" })), false);
});

for (const [what, spec, expected] of [
  [
    "a mask size wider than its CIDR",
    { ipv4: { cidrs: ["10.0.0.0/24"], maskSize: 16 } },
    /spec\.ipv4\.cidrs\[0\].*smaller than a pod CIDR of 16 bits/,
  ],
  ["CIDRs that overlap", { ipv4: { cidrs: ["10.0.0.0/24", "10.0.0.128/25"], maskSize: 28 } }, /cidrs\[1\].*overlaps 10\.0\.0\.0\/24/],
  ["a CIDR of the other family", { ipv6: { cidrs: ["10.0.0.0/24"], maskSize: 28 } }, /is of the other family/],
  ["no CIDRs", { ipv4: { cidrs: [], maskSize: 28 } }, /must name at least one CIDR/],
  ["no mask size", { ipv4: { cidrs: ["10.0.0.0/24"] } }, /spec\.ipv4\.maskSize.*from 1 to 32/],
  ["a selector that is none", { podSelector: { matchLabels: { "not a key": "x" } } }, /is no label key/],
] as const) {
  test(`a pool with ${what} is refused`, () => {
    const { pool, problems } = parseCiliumPodIPPool({ metadata, spec });
    assert.equal(pool, undefined);
    assert.match(problems.map(({ path, message }) => `${path} ${message}`).join("; "), expected);
  });
}
