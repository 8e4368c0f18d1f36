import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { flowpb } from "@cilium-ts/observer";
import { parse } from "yaml";
import { explainFlow } from "./explain.ts";
import { FlowTotals } from "./flow-totals.ts";
import { formatTotals } from "./top.ts";

const { DropReason, TrafficDirection, Verdict } = flowpb;
const client = {
  ID: 1,
  identity: 1001,
  namespace: "default",
  podName: "client",
  labels: ["k8s:app=client", "k8s:io.kubernetes.pod.namespace=default"],
};
const web = { ID: 2, identity: 1002, namespace: "shop", podName: "web", labels: ["k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop"] };
const world = { identity: 2, labels: ["reserved:world"] };

function flow(change: object = {}): flowpb.Flow {
  const init = {
    verdict: Verdict.DROPPED,
    dropReasonDesc: DropReason.POLICY_DENIED,
    trafficDirection: TrafficDirection.INGRESS,
    IP: { source: "10.0.0.1", destination: "10.0.0.2" },
    l4: { protocol: { case: "TCP", value: { sourcePort: 40000, destinationPort: 80 } } },
    source: client,
    destination: web,
    nodeName: "default/n1",
    ...change,
  };
  return create(flowpb.FlowSchema, init as MessageInitShape<typeof flowpb.FlowSchema>);
}

/** The policy that is proposed. */
function proposed(text: string): { metadata: unknown; spec: unknown } | undefined {
  const yaml = /<<'EOF'\n([\s\S]*)EOF\n$/.exec(text)?.[1];
  return yaml === undefined ? undefined : parse(yaml);
}

const port80 = { toPorts: [{ ports: [{ port: "80", protocol: "TCP" }] }] };

test("a denied flow is explained by its direction, with the policy that would allow it", () => {
  const text = explainFlow(flow());
  assert.match(text, /^default\/client to shop\/web, port 80 over TCP: DROPPED \(POLICY_DENIED\)\n/);
  assert.match(text, /why: {2}policies select shop\/web for ingress, and none of them allows this/);
  assert.deepEqual(proposed(text), {
    apiVersion: "cilium.io/v2",
    kind: "CiliumNetworkPolicy",
    metadata: { name: "allow-web", namespace: "shop" },
    spec: {
      endpointSelector: { matchLabels: { app: "web" } },
      ingress: [{ fromEndpoints: [{ matchLabels: { app: "client", "k8s:io.kubernetes.pod.namespace": "default" } }], ...port80 }],
    },
  });
});

for (const [name, change, rule] of [
  [
    "an address outside",
    { destination: world, IP: { source: "10.0.0.1", destination: "fd00::9" } },
    { toCIDR: ["fd00::9/128"], ...port80 },
  ],
  ["the host", { destination: { identity: 1, labels: ["reserved:host"] } }, { toEntities: ["host"], ...port80 }],
  ["a neighbour", { destination: { ...web, namespace: "default" } }, { toEndpoints: [{ matchLabels: { app: "web" } }], ...port80 }],
  [
    "a ping",
    { destination: world, l4: { protocol: { case: "ICMPv4", value: { type: 8 } } } },
    { toCIDR: ["10.0.0.2/32"], icmps: [{ fields: [{ type: 8, family: "IPv4" }] }] },
  ],
] as const) {
  test(`what would allow egress to ${name}`, () => {
    const text = explainFlow(flow({ trafficDirection: TrafficDirection.EGRESS, ...change }));
    assert.deepEqual(proposed(text)?.spec, { endpointSelector: { matchLabels: { app: "client" } }, egress: [rule] });
  });
}

for (const [name, change, why] of [
  [
    "a deny rule",
    { dropReasonDesc: DropReason.POLICY_DENY, ingressDeniedBy: [{ kind: "CiliumNetworkPolicy", namespace: "shop", name: "no" }] },
    /a deny rule of CiliumNetworkPolicy shop\/no matches/,
  ],
  [
    "the datapath",
    { dropReasonDesc: DropReason.INVALID_SOURCE_IP, file: { name: "pod.c", line: 7 } },
    /decided in pod\.c:7\n {2}why: {2}the datapath dropped it: Invalid source ip/,
  ],
  [
    "an allow rule",
    { verdict: Verdict.FORWARDED, dropReasonDesc: 0, ingressAllowedBy: [{ kind: "", namespace: "", name: "yes" }] },
    /allowed by policy yes/,
  ],
  ["audit", { verdict: Verdict.AUDIT, dropReasonDesc: 0 }, /only audited/],
] as const) {
  test(`${name} is named, and no policy is proposed`, () => {
    const text = explainFlow(flow(change));
    assert.match(text, why);
    assert.equal(proposed(text), undefined);
  });
}

test("totals count answers with their questions, most first, within bounds", () => {
  const totals = new FlowTotals();
  const forwarded = { verdict: Verdict.FORWARDED, dropReasonDesc: 0 };
  totals.add(flow(forwarded));
  totals.add(
    flow({
      ...forwarded,
      isReply: true,
      source: web,
      destination: client,
      l4: { protocol: { case: "TCP", value: { sourcePort: 80, destinationPort: 40000 } } },
    }),
  );
  totals.add(flow({ source: web, destination: world }));
  assert.equal(
    formatTotals(totals.take("flows", 5), 2),
    "FLOWS/S   DROPS/S   FROM             TO\n1.0       0.0       default/client   shop/web:80 TCP\n0.5       0.5       shop/web         world (10.0.0.2):80 TCP\n",
  );
  assert.deepEqual(totals.take("flows", 5), []);
  for (let index = 0; index < 10_005; index += 1) totals.add(flow({ source: undefined, IP: { source: String(index), destination: "x" } }));
  assert.deepEqual(totals.take("flows", 1), [{ source: "all others", destination: "", flows: 5, drops: 5 }]);
});
