import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { observerpb } from "@cilium-ts/observer";
import { Printer, type PrinterOptions } from "./printer.ts";

const options: PrinterOptions = {
  format: "compact",
  timeFormat: "StampMilli",
  color: false,
  nodeName: false,
  policyNames: false,
  translate: true,
  debug: false,
  legacyJson: false,
};

const time = "2026-01-01T00:00:00.500Z";
const base = {
  time,
  node_name: "default/n1",
  IP: { source: "10.0.0.1", destination: "10.0.0.2", ipVersion: "IPv4" },
  l4: { TCP: { source_port: 1234, destination_port: 80, flags: { SYN: true } } },
  source: { ID: 5, identity: 1000, namespace: "a", pod_name: "p1" },
  destination: { identity: 2 },
  Summary: "TCP Flags: SYN",
};
const denied = { ...base, verdict: "DROPPED", event_type: { type: 5 }, traffic_direction: "EGRESS", is_reply: false };
const dropped = { ...base, verdict: "DROPPED", event_type: { type: 1, sub_type: 133 } };
const reply = { ...base, verdict: "FORWARDED", event_type: { type: 4 }, is_reply: true, Summary: "TCP Flags: SYN, ACK" };
const allowed = {
  ...base,
  verdict: "FORWARDED",
  event_type: { type: 5 },
  traffic_direction: "INGRESS",
  is_reply: false,
  policy_match_type: 2,
  ingress_allowed_by: [{ name: "pol", namespace: "a", kind: "CiliumNetworkPolicy" }],
};

function printed(responses: readonly JsonValue[], changes: Partial<PrinterOptions> = {}): { out: string; error: string } {
  const text = { out: "", error: "" };
  const printer = new Printer(
    { ...options, ...changes },
    {
      out: (more) => {
        text.out += more;
      },
      error: (more) => {
        text.error += more;
      },
    },
  );
  for (const response of responses) printer.print(fromJson(observerpb.GetFlowsResponseSchema, response));
  printer.close();
  return text;
}

const flow = (value: JsonValue): JsonValue => ({ flow: value, node_name: "default/n1", time });

for (const [name, value, changes, expected] of [
  [
    "a policy verdict, with the node",
    denied,
    { nodeName: true },
    "Jan  1 00:00:00.500 [default/n1]: a/p1:1234 (ID:1000) -> 10.0.0.2:80 (world) policy-verdict:none EGRESS DENIED (TCP Flags: SYN)",
  ],
  [
    "a drop, of which the direction is not known",
    dropped,
    {},
    "Jan  1 00:00:00.500: a/p1:1234 (ID:1000) <> 10.0.0.2:80 (world) Policy denied DROPPED (TCP Flags: SYN)",
  ],
  [
    "an answer: the client stays left",
    reply,
    {},
    "Jan  1 00:00:00.500: 10.0.0.2:80 (world) <- a/p1:1234 (ID:1000) to-endpoint FORWARDED (TCP Flags: SYN, ACK)",
  ],
  [
    "an allowed connection",
    allowed,
    {},
    "Jan  1 00:00:00.500: a/p1:1234 (ID:1000) -> 10.0.0.2:80 (world) policy-verdict:L3-L4 INGRESS ALLOWED (TCP Flags: SYN)",
  ],
  [
    "and by what",
    allowed,
    { policyNames: true },
    "Jan  1 00:00:00.500: a/p1:1234 (ID:1000) -> 10.0.0.2:80 (world) policy-verdict:L3-L4 INGRESS ALLOWED BY pol (CiliumNetworkPolicy) (TCP Flags: SYN)",
  ],
  [
    "an audited one",
    { ...allowed, verdict: "AUDIT" },
    {},
    "Jan  1 00:00:00.500: a/p1:1234 (ID:1000) -> 10.0.0.2:80 (world) policy-verdict:L3-L4 INGRESS AUDITED (TCP Flags: SYN)",
  ],
  [
    "addresses in place of names",
    allowed,
    { translate: false },
    "Jan  1 00:00:00.500: 10.0.0.1:1234 (ID:1000) -> 10.0.0.2:80 (world) policy-verdict:L3-L4 INGRESS ALLOWED (TCP Flags: SYN)",
  ],
  [
    "IPv6 with ports, in brackets",
    { ...reply, IP: { source: "fd00::1", destination: "fd00::2" }, source: { identity: 1 }, is_reply: false },
    { timeFormat: "RFC3339Nano" as const },
    "2026-01-01T00:00:00.5Z: [fd00::1]:1234 (host) -> [fd00::2]:80 (world) to-endpoint FORWARDED (TCP Flags: SYN, ACK)",
  ],
  [
    "ICMP, without ports",
    { ...reply, is_reply: false, l4: { ICMPv4: { type: 8 } }, event_type: { type: 4, sub_type: 3 }, Summary: "ICMPv4 EchoRequest" },
    {},
    "Jan  1 00:00:00.500: a/p1 (ID:1000) -> 10.0.0.2 (world) to-stack FORWARDED (ICMPv4 EchoRequest)",
  ],
  [
    "no IP at all",
    {
      time,
      ethernet: { source: "02:00:00:00:00:01", destination: "ff:ff:ff:ff:ff:ff" },
      event_type: { type: 1, sub_type: 139 },
      verdict: "DROPPED",
      Summary: "Ethernet",
    },
    {},
    "Jan  1 00:00:00.500: 02:00:00:00:00:01 (unknown) <> ff:ff:ff:ff:ff:ff (unknown) Unsupported L3 protocol DROPPED (Ethernet)",
  ],
  [
    "a name that would steer the terminal",
    { ...dropped, source: { namespace: "a", pod_name: "\u001b[2Jp" } },
    {},
    "Jan  1 00:00:00.500: a/\\x1b[2Jp:1234 (unknown) <> 10.0.0.2:80 (world) Policy denied DROPPED (TCP Flags: SYN)",
  ],
  [
    "colours",
    dropped,
    { color: true },
    "Jan  1 00:00:00.500: \u001b[36ma/p1:\u001b[33m1234\u001b[36m\u001b[39m \u001b[35m(ID:1000)\u001b[39m <> \u001b[36m10.0.0.2:\u001b[33m80\u001b[36m\u001b[39m \u001b[35m(world)\u001b[39m Policy denied \u001b[31mDROPPED\u001b[39m (TCP Flags: SYN)",
  ],
] satisfies ReadonlyArray<readonly [string, JsonValue, Partial<PrinterOptions>, string]>) {
  test(`compact: ${name}`, () => assert.deepEqual(printed([flow(value)], changes), { out: `${expected}\n`, error: "" }));
}

test("dict: pairs that do not turn round, apart by dashes", () => {
  const { out } = printed([flow(reply), flow(dropped)], { format: "dict" });
  assert.equal(
    out,
    `  TIMESTAMP: Jan  1 00:00:00.500
     SOURCE: a/p1:1234
DESTINATION: 10.0.0.2:80
       TYPE: to-endpoint
    VERDICT: FORWARDED
    SUMMARY: TCP Flags: SYN, ACK
------------
  TIMESTAMP: Jan  1 00:00:00.500
     SOURCE: a/p1:1234
DESTINATION: 10.0.0.2:80
       TYPE: Policy denied
    VERDICT: DROPPED
    SUMMARY: TCP Flags: SYN
`,
  );
});

test("table: one head, aligned columns", () => {
  const { out } = printed([flow(reply), flow(dropped)], { format: "table" });
  assert.equal(
    out,
    `TIMESTAMP             SOURCE      DESTINATION   TYPE            VERDICT     SUMMARY
Jan  1 00:00:00.500   a/p1:1234   10.0.0.2:80   to-endpoint     FORWARDED   TCP Flags: SYN, ACK
Jan  1 00:00:00.500   a/p1:1234   10.0.0.2:80   Policy denied   DROPPED     TCP Flags: SYN
`,
  );
});

test("json: the names of the proto, enums by name, 64 bits as text, one object a line", () => {
  const { out } = printed([flow({ ...dropped, socket_cookie: "18446744073709551615", drop_reason_desc: "POLICY_DENIED", Type: "L3_L4" })], {
    format: "json",
  });
  const json = JSON.parse(out);
  assert.equal(out.split("\n").length, 2);
  assert.deepEqual(Object.keys(json).sort(), ["flow", "node_name", "time"]);
  assert.equal(json.time, "2026-01-01T00:00:00.500Z");
  assert.equal(json.flow.socket_cookie, "18446744073709551615");
  assert.equal(json.flow.drop_reason_desc, "POLICY_DENIED");
  assert.deepEqual(json.flow.l4, { TCP: { source_port: 1234, destination_port: 80, flags: { SYN: true } } });
  assert.equal(json.flow.source.ID, 5);
  assert.equal(json.flow.Type, "L3_L4");
  assert.equal("is_reply" in json.flow, false);
  assert.equal(JSON.parse(printed([flow(reply)], { format: "jsonpb" }).out).flow.is_reply, true);
});

test("json, as it was: the flow alone, but never in jsonpb", () => {
  assert.equal(JSON.parse(printed([flow(reply)], { format: "json", legacyJson: true }).out).verdict, "FORWARDED");
  assert.equal(JSON.parse(printed([flow(reply)], { format: "jsonpb", legacyJson: true }).out).flow.verdict, "FORWARDED");
});

const lost: JsonValue = { lost_events: { source: "HUBBLE_RING_BUFFER", num_events_lost: "5" }, node_name: "n1" };

test("losses are told on standard output", () => {
  assert.deepEqual(printed([lost]), { out: "EVENTS LOST: HUBBLE_RING_BUFFER CPU(0) 5\n", error: "" });
  assert.deepEqual(JSON.parse(printed([lost], { format: "json" }).out), lost);
  assert.match(
    printed([lost], { format: "dict" }).out,
    /SOURCE: HUBBLE_RING_BUFFER\n {7}TYPE: EVENTS LOST\n {4}VERDICT: \n {4}SUMMARY: CPU\(0\) - 5\n/,
  );
  assert.match(printed([lost], { format: "table" }).out, /HUBBLE_RING_BUFFER +EVENTS LOST +CPU\(0\) - 5\n/);
});

const status = (state_change: string, message = ""): JsonValue => ({
  node_status: { state_change, node_names: ["n1", "n2"], message },
  node_name: "relay",
  time,
});

for (const [state, message, debug, expected] of [
  ["NODE_CONNECTED", "", false, ""],
  ["NODE_CONNECTED", "", true, "Jan  1 00:00:00.500 [relay]: Receiving flows from 2 nodes: n1, n2\n"],
  ["NODE_UNAVAILABLE", "", false, "Jan  1 00:00:00.500 [relay]: 2 nodes are unavailable: n1, n2\n"],
  ["NODE_ERROR", "no way", false, 'Jan  1 00:00:00.500 [relay]: Error "no way" on 2 nodes: n1, n2\n'],
] as const) {
  test(`${state} ${debug ? "with" : "without"} debug goes to standard error`, () =>
    assert.deepEqual(printed([status(state, message)], { debug }), { out: "", error: expected }));
}

test("a response without content prints nothing", () => assert.deepEqual(printed([{}]), { out: "", error: "" }));
