import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { PolicyEngine } from "@cilium-ts/policy";
import { createRandom, type Random } from "@cilium-ts/testing";
import { parse as parseYaml } from "yaml";
import { parseCiliumCidrGroup } from "./cilium-cidr-group.ts";
import { parseCiliumClusterwideNetworkPolicy, parseCiliumNetworkPolicy } from "./cilium-network-policy.ts";
import { parseAdminNetworkPolicy, parseBaselineAdminNetworkPolicy, parseClusterNetworkPolicy } from "./cluster-network-policy.ts";
import { parseNetworkPolicy } from "./network-policy.ts";
import { ciliumPolicyFromRule } from "./policy-from-rule.ts";
import { policyServiceFrom, serviceSliceFrom } from "./policy-service.ts";

const folder = new URL("../../testdata/cilium-network-policies/", import.meta.url);
const options = { clusterName: "default", nodeSelectorLabels: true };

const samples: readonly unknown[] = [
  ...readdirSync(folder).map((file) => parseYaml(readFileSync(new URL(file, folder), "utf8"))),
  {
    metadata: { name: "np", namespace: "shop" },
    spec: {
      podSelector: { matchExpressions: [{ key: "app", operator: "In", values: ["a"] }] },
      policyTypes: ["Ingress", "Egress"],
      ingress: [
        {
          from: [{ namespaceSelector: {} }, { ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } }],
          ports: [{ port: 80, endPort: 90 }],
        },
      ],
      egress: [{ to: [{ podSelector: {} }], ports: [{ port: "http", protocol: "UDP" }] }],
    },
  },
  {
    metadata: { name: "wide" },
    spec: {
      endpointSelector: {},
      ingress: [
        {
          fromCIDRSet: [{ cidrGroupRef: "g" }, { cidrGroupSelector: { matchLabels: { a: "b" } } }],
          icmps: [{ fields: [{ type: "EchoRequest" }] }],
        },
      ],
      egress: [{ toServices: [{ k8sService: { serviceName: "a" } }] }, { toNodes: [{}], toRequires: [{ matchLabels: { x: "y" } }] }],
    },
  },
  {
    metadata: { name: "nodes" },
    spec: {
      nodeSelector: { matchLabels: { zone: "a" } },
      ingress: [{ fromEntities: ["cluster"], toPorts: [{ ports: [{ port: "22" }] }] }],
      egress: [{ toPorts: [{ ports: [{ port: "53", protocol: "UDP" }], rules: { dns: [{ matchPattern: "*" }] } }] }],
    },
  },
  {
    metadata: { name: "tier" },
    spec: {
      tier: "Admin",
      priority: 10,
      subject: { pods: { namespaceSelector: {}, podSelector: { matchLabels: { app: "a" } } } },
      ingress: [{ action: "Deny", from: [{ namespaces: {} }], protocols: [{ tcp: { destinationPort: { number: 80 } } }] }],
      egress: [{ action: "Pass", to: [{ networks: ["10.0.0.0/8"] }] }],
    },
  },
  {
    metadata: { name: "default" },
    spec: {
      subject: { namespaces: {} },
      ingress: [{ action: "Allow", from: [{ namespaces: {} }], ports: [{ portNumber: { protocol: "TCP", port: 80 } }] }],
      egress: [
        {
          action: "Deny",
          to: [{ pods: { namespaceSelector: {}, podSelector: {} } }],
          ports: [{ portRange: { protocol: "UDP", start: 1, end: 9 } }],
        },
      ],
    },
  },
  { metadata: { name: "g", labels: { a: "b" } }, spec: { externalCIDRs: ["10.0.0.0/8"] } },
  { metadata: { name: "s", namespace: "n", labels: {} }, spec: { selector: { a: "b" } }, endpoints: [{ addresses: ["10.0.0.1"] }] },
];

const long = 200_000;
const odd: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  70_000,
  1.5,
  Number.NaN,
  "",
  "0",
  "::/0",
  "10.0.0.0/33",
  "k8s:",
  ":x",
  "__proto__",
  "a".repeat(long),
  "-".repeat(long),
  `${"a.".repeat(long / 2)}/`,
  `${"a-".repeat(long / 2)}!`,
  [],
  {},
  [[]],
  [null],
  { __proto__: null },
  JSON.parse('{"__proto__": {"a": 1}, "constructor": "x", "toString": []}'),
];

/** One to three places of the object hold something odd, are gone, or stand twice. */
function mutate(random: Random, sample: unknown): unknown {
  const object = structuredClone(sample);
  for (let count = 1 + random.below(3); count > 0; count -= 1) {
    let place = object as Record<string, unknown>;
    for (;;) {
      const keys = Object.keys(place);
      if (keys.length === 0) break;
      const key = random.pick(keys);
      const value = place[key];
      if (typeof value === "object" && value !== null && random.chance(0.8)) {
        place = value as Record<string, unknown>;
        continue;
      }
      const what = random.below(3);
      if (what === 0) delete place[key];
      else if (what === 1) place[key] = structuredClone(random.pick(odd));
      else if (Array.isArray(place)) place.push(structuredClone(value));
      else place[random.pick(["app", "cidr", "ingres", "port", "x".repeat(300)])] = structuredClone(value);
      break;
    }
  }
  // What JSON cannot hold never comes.
  return JSON.parse(JSON.stringify(object) ?? "null");
}

const parsers = [
  parseCiliumNetworkPolicy,
  parseCiliumClusterwideNetworkPolicy,
  parseNetworkPolicy,
  parseClusterNetworkPolicy,
  parseAdminNetworkPolicy,
  parseBaselineAdminNetworkPolicy,
];
const rounds = process.env.CILIUM_TS_LONG === "1" ? 100_000 : 4_000;

test("whatever an object holds, reading it ends with rules or with problems, soon; and rules are fit for the engine", () => {
  const random = createRandom(11);
  const seen = { valid: 0, invalid: 0 };
  const startMs = performance.now();
  for (let round = 0; round < rounds; round += 1) {
    const object = round < odd.length ? odd[round] : mutate(random, random.pick(samples));
    for (const parse of parsers) {
      const { rules, problems } = parse(object, options);
      assert.equal(rules.length === 0, problems.length > 0, "rules or problems");
      for (const { message } of problems) assert.ok(message.length > 0);
      seen[problems.length > 0 ? "invalid" : "valid"] += 1;
      if (rules.length === 0) continue;
      const engine = new PolicyEngine({ mode: "default", allowLocalhost: "auto", clusterName: "default", families: [4, 6] });
      engine.upsertPolicy("p", rules);
      for (const rule of rules) JSON.stringify(ciliumPolicyFromRule(rule));
    }
    parseCiliumCidrGroup(object);
    if (typeof object === "object" && object !== null && typeof (object as { metadata?: unknown }).metadata === "object") {
      policyServiceFrom({ ...object, metadata: {} });
      serviceSliceFrom({ ...object, metadata: {} });
    }
  }
  assert.ok(seen.valid > 200 && seen.invalid > 1_000, JSON.stringify(seen));
  // Far above what it takes: only something exponential gets there.
  assert.ok(performance.now() - startMs < rounds * 30);
});
