import assert from "node:assert/strict";
import { test } from "node:test";
import { type flowpb, parseFlowLine } from "@cilium-ts/observer";
import type { Attempt } from "./attempt.ts";
import { missingFlows } from "./observed-flows.ts";
import { rows } from "./scenario.ts";

const from = {
  name: "client",
  pod: { namespace: "t", name: "client", node: "n", hostNetwork: false },
  ipv4: "10.0.0.1",
  ipv6: "fd00::1",
} as const;
const to = {
  name: "near",
  pod: { namespace: "t", name: "near", node: "n", hostNetwork: false },
  ipv4: "10.0.0.2",
  ipv6: "fd00::2",
} as const;
const sinceMs = Date.parse("2026-01-01T00:00:00Z");

function attempt(row: string, rest: Partial<Attempt> = {}): Attempt {
  const [parsed] = rows(row);
  assert.ok(parsed);
  return { row: parsed, family: "ipv4", from, to, port: parsed.port, outcome: "answered", localPort: 4000, ...rest };
}

function flow(verdict: string, rest: object = {}): flowpb.Flow {
  const line = {
    flow: {
      time: "2026-01-01T00:00:01Z",
      verdict,
      IP: { source: "10.0.0.1", destination: "10.0.0.2" },
      l4: { TCP: { source_port: 4000, destination_port: 8080 } },
      ...rest,
    },
  };
  const { responseTypes } = parseFlowLine(JSON.stringify(line));
  assert.ok(responseTypes.case === "flow");
  return responseTypes.value;
}

const denied = { drop_reason_desc: "POLICY_DENIED" };

for (const [name, row, seen, isFound] of [
  ["its own packet, forwarded", "client tcp/8080 near allowed", flow("FORWARDED"), true],
  ["its own packet, dropped", "client tcp/8080 near dropped", flow("DROPPED", denied), true],
  [
    "a packet dropped for another reason",
    "client tcp/8080 near dropped",
    flow("DROPPED", { drop_reason_desc: "INVALID_SOURCE_IP" }),
    false,
  ],
  ["another verdict", "client tcp/8080 near dropped", flow("FORWARDED"), false],
  ["an answer", "client tcp/8080 near allowed", flow("FORWARDED", { is_reply: true }), false],
  [
    "another connection",
    "client tcp/8080 near allowed",
    flow("FORWARDED", { l4: { TCP: { source_port: 1, destination_port: 8080 } } }),
    false,
  ],
  [
    "another protocol",
    "client tcp/8080 near allowed",
    flow("FORWARDED", { l4: { UDP: { source_port: 4000, destination_port: 8080 } } }),
    false,
  ],
  ["another pod", "client tcp/8080 near allowed", flow("FORWARDED", { IP: { source: "10.0.0.9", destination: "10.0.0.2" } }), false],
  ["what was long ago", "client tcp/8080 near allowed", flow("FORWARDED", { time: "2025-12-31T23:00:00Z" }), false],
  ["an echo", "client icmp near allowed", flow("FORWARDED", { l4: { ICMPv4: { type: 8 } } }), true],
] as const) {
  test(`${name} ${isFound ? "proves" : "does not prove"} an attempt`, () => {
    assert.equal(missingFlows([attempt(row)], [seen], sinceMs).length, isFound ? 0 : 1);
  });
}

test("between nodes there is nothing to be seen", () => {
  const host = { ...from, pod: { ...from.pod, hostNetwork: true } };
  assert.deepEqual(missingFlows([attempt("nearHost tcp/host farHost allowed", { from: host, to: host })], [], sinceMs), []);
});
