import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels, Selector } from "@cilium-ts/labels";
import { type Peer, PolicyEngine, type Rule } from "@cilium-ts/policy";
import { selectorMappings } from "./selector-shape.ts";

const labels = [{ source: "k8s", key: "io.cilium.k8s.policy.name", value: "web" }];
const peers: Peer[] = [
  { kind: "endpoints", selector: Selector.of({ matchLabels: { app: "client" } }) },
  { kind: "entity", entity: "host" },
  { kind: "cidr", cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] },
  { kind: "cidrGroups", name: "office", except: [] },
  { kind: "services", namespace: "shop", name: "web" },
  { kind: "endpoints", selector: Selector.everything },
];
const rule: Rule = {
  policy: { kind: "CiliumNetworkPolicy", namespace: "default", name: "web", uid: "", labels },
  endpointSelector: Selector.everything,
  ingress: [
    { path: "ingress[0]", peers },
    { path: "ingress[1]", peers: peers.slice(1, 2) },
  ],
  ingressDeny: [],
  egress: [],
  egressDeny: [],
  enableDefaultDeny: { ingress: true, egress: false },
};

test("every way to choose peers is listed with whom it chooses, how often, and for which policy", () => {
  const engine = new PolicyEngine({ mode: "default", allowLocalhost: "auto", clusterName: "default", families: [4, 6] });
  engine.upsertIdentity(1, Labels.parse(["reserved:host"]));
  engine.upsertIdentity(1001, Labels.parse(["k8s:app=client"]));
  engine.upsertPolicy("web", [rule]);
  const mappings = selectorMappings(engine.chosenPeers(), [rule]);
  assert.deepEqual(
    mappings.map(({ selector, identities, users }) => [selector, identities, users]),
    [
      ["cidr 10.0.0.0/8 except 10.1.0.0/16", [], 1],
      ["cidr group office", [], 1],
      ["endpoints <everybody>", [], 1],
      ['endpoints any:app in ["client"]', [1001], 1],
      ["entity host", [1], 2],
      ["service shop/web", [], 1],
    ],
  );
  assert.ok(mappings.every((mapping) => mapping.labels === labels));
});
