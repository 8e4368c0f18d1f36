import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFlowLine } from "./flow-line.ts";
import { observationOf } from "./observation.ts";

const syn = {
  time: "2026-01-01T00:00:01Z",
  verdict: "FORWARDED",
  IP: { source: "10.0.0.1", destination: "10.0.0.2", ipVersion: "IPv4" },
  l4: { TCP: { source_port: 1234, destination_port: 80, flags: { SYN: true } } },
  source: {
    identity: 1000,
    namespace: "shop",
    labels: ["k8s:app=web"],
    pod_name: "web-1",
    workloads: [{ name: "web", kind: "Deployment" }],
  },
  destination: { identity: 2, labels: ["reserved:world-ipv4"] },
  destination_names: ["example.org"],
  is_reply: false,
};

function observe(change: object): ReturnType<typeof observationOf> {
  const { responseTypes } = parseFlowLine(JSON.stringify({ ...syn, ...change }));
  assert.ok(responseTypes.case === "flow");
  return observationOf(responseTypes.value);
}

test("a flow is told by its ends, its port and what became of it", () => {
  assert.deepEqual(observe({}), {
    kind: "flow",
    flow: {
      timeMs: 1_767_225_601_000,
      from: { address: "10.0.0.1", labels: ["k8s:app=web"], namespace: "shop", podName: "web-1", workload: "Deployment/web", names: [] },
      to: { address: "10.0.0.2", labels: ["reserved:world-ipv4"], namespace: "", podName: "", workload: "", names: ["example.org"] },
      protocol: 6,
      port: 80,
      verdict: "forwarded",
    },
  });
});

const icmp = { l4: { ICMPv6: { type: 128, code: 0 } } };
const midway = { l4: { TCP: { destination_port: 80, flags: { ACK: true } } } };
const rows: ReadonlyArray<readonly [name: string, change: object, expected: string]> = [
  ["an answer", { is_reply: true }, "an answer: it goes the way of its request"],
  ["a drop of a policy", { verdict: "DROPPED", drop_reason_desc: "POLICY_DENIED", is_reply: null }, "dropped 6/80"],
  ["a drop by a deny rule, midway", { ...midway, verdict: "DROPPED", drop_reason_desc: "POLICY_DENY", is_reply: null }, "dropped 6/80"],
  [
    "any other drop",
    { verdict: "DROPPED", drop_reason_desc: "INVALID_SOURCE_IP" },
    "dropped for another reason than policy: Invalid source ip",
  ],
  ["what is only audited", { verdict: "AUDIT" }, "audited 6/80"],
  ["what goes to a proxy", { verdict: "REDIRECTED" }, "forwarded 6/80"],
  ["what the proxy tells", { l7: { type: "REQUEST" } }, "told by a proxy; its connection is judged instead"],
  ["what a socket tells", { event_type: { type: 7 } }, "told by a socket, before the destination is translated"],
  ["a request for an echo", icmp, "forwarded 58/128"],
  ["nobody knows who began", { ...icmp, is_reply: null }, "it is not known which end began"],
  ["TCP that is under way", { ...midway, is_reply: null }, "it is not known which end began"],
  ["TCP that begins", { is_reply: null }, "forwarded 6/80"],
  ["another protocol", { l4: { VRRP: { type: 1 } } }, "its protocol or port is not known"],
  ["no verdict", { verdict: "TRANSLATED" }, "it has no verdict"],
];
for (const [name, change, expected] of rows) {
  test(`of a flow: ${name}`, () => {
    const observation = observe(change);
    const { kind } = observation;
    assert.equal(
      kind === "flow" ? `${observation.flow.verdict} ${observation.flow.protocol}/${observation.flow.port}` : observation.reason,
      expected,
    );
  });
}
