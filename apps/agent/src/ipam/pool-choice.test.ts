import assert from "node:assert/strict";
import { test } from "node:test";
import { type PodIPPool, parseCiliumPodIPPool } from "@cilium-ts/kubernetes";
import { choosePool, type PodPlacement } from "./pool-choice.ts";

function pool(name: string, spec: object): PodIPPool {
  const both = { ipv4: { cidrs: ["10.0.0.0/16"], maskSize: 24 }, ipv6: { cidrs: ["fd00::/104"], maskSize: 120 } };
  const { pool: parsed } = parseCiliumPodIPPool({ metadata: { name }, spec: { ...both, ...spec } });
  assert.ok(parsed !== undefined);
  return parsed;
}

const pools = [
  pool("default", {}),
  pool("web", { podSelector: { matchLabels: { app: "web" } } }),
  pool("red", { namespaceSelector: { matchLabels: { team: "red" } } }),
  pool("one", { podSelector: { matchLabels: { "io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.name": "only" } } }),
  pool("web4", { ipv6: undefined, podSelector: { matchLabels: { app: "old" } } }),
];
const empty = { annotations: {}, labels: {}, namespaceAnnotations: {}, namespaceLabels: {} };

for (const [what, pod, expected] of [
  ["nothing said", {}, "default default"],
  ["a pool named", { annotations: { "ipam.cilium.io/ip-pool": "a" } }, "a a"],
  ["a pool named for one family", { annotations: { "ipam.cilium.io/ip-pool": "a", "ipam.cilium.io/ipv6-pool": "b" } }, "a b"],
  ["a pool named by the namespace", { namespaceAnnotations: { "ipam.cilium.io/ip-pool": "n" } }, "n n"],
  [
    "a pool named by both: the pod's wins",
    { annotations: { "ipam.cilium.io/ip-pool": "a" }, namespaceAnnotations: { "ipam.cilium.io/ipv4-pool": "n" } },
    "a a",
  ],
  ["an annotation before a selector", { labels: { app: "web" }, annotations: { "ipam.cilium.io/ip-pool": "a" } }, "a a"],
  ["labels that one pool selects", { labels: { app: "web" } }, "web web"],
  ["a namespace that one pool selects", { namespaceLabels: { team: "red" } }, "red red"],
  ["the very pod", { name: "only" }, "one one"],
  ["a pool of one family only", { labels: { app: "old" } }, "web4 default"],
  [
    "two pools that match",
    { labels: { app: "web" }, namespaceLabels: { team: "red" } },
    /shop\/p matches the CiliumPodIPPools red and web; change/,
  ],
  [
    "a match required",
    { annotations: { "ipam.cilium.io/require-pool-match": "true" } },
    /matches no CiliumPodIPPool with ipv4, and .* forbids/,
  ],
  [
    "a match required and there",
    { labels: { app: "web" }, namespaceAnnotations: { "ipam.cilium.io/require-pool-match": "true" } },
    "web web",
  ],
] as const satisfies readonly (readonly [string, Partial<PodPlacement>, string | RegExp])[]) {
  test(`a pod with ${what} gets its addresses of ${expected}`, () => {
    const placement = { namespace: "shop", name: "p", ...empty, ...pod };
    const choices = (["ipv4", "ipv6"] as const).map((family) => choosePool(placement, family, { pools, defaultPool: "default" }));
    const said = choices.map((choice) => (choice.kind === "chosen" ? choice.pool : choice.problem)).join(" ");
    if (typeof expected === "string") assert.equal(said, expected);
    else assert.match(said, expected);
  });
}
