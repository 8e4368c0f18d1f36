import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointResolver } from "../context/endpoint-resolver.ts";
import { EventView } from "../event.ts";
import { IPVersion, TcpFlag, TrafficDirection, Verdict } from "../flow.ts";
import { FlowRing } from "../ring.ts";
import {
  buildCapture,
  buildDrop,
  buildL7,
  buildPacket,
  buildTrace,
  buildVerdict,
  frameRecords,
  sampleContext,
  sampleDns,
  sampleHttp,
} from "../testing.ts";
import { compileFilters, type FilterOptions, type FlowFilter } from "./filter.ts";

const options: FilterOptions = {
  compileRegex: (pattern) => (pattern.includes("(?=") ? { problem: "lookahead" } : new RegExp(pattern)),
  compileExpression: (expression) =>
    expression === "drops" ? { matches: ({ verdict }) => verdict === Verdict.dropped } : { problem: "no such thing" },
};

const syn = buildPacket({
  source: "10.0.0.1",
  destination: "10.0.0.2",
  tcp: { sourcePort: 40000, destinationPort: 80, flags: TcpFlag.syn },
});
const synAck = buildPacket({
  source: "fd00::2",
  destination: "fd00::1",
  tcp: { sourcePort: 80, destinationPort: 40000, flags: TcpFlag.syn | TcpFlag.ack },
});
const dns = buildPacket({ source: "10.0.0.1", destination: "1.1.1.1", udp: { sourcePort: 5353, destinationPort: 53 } });
const ping = buildPacket({ source: "fd00::1", destination: "fd00::2", icmp: { type: 128, code: 0 } });
const arp = Uint8Array.from([...new Array(12).fill(2), 0x08, 0x06, ...new Array(28).fill(0)]);

/** The events that every filter below is tried on, by name. */
const events = {
  drop: buildDrop({ reason: 133, reporter: 11, sourceIdentity: 1001, destinationIdentity: 1002, packet: syn, ifindex: 12 }),
  reply: buildTrace({ point: 0, reason: 2, reporter: 11, sourceIdentity: 1002, destinationIdentity: 1001, packet: synAck }),
  dns: buildTrace({
    point: 3,
    reason: 0,
    reporter: 11,
    sourceIdentity: 1001,
    destinationIdentity: 2,
    packet: dns,
    originalSource: "10.0.0.1",
  }),
  ping: buildTrace({ point: 5, reason: 5, reporter: 11, packet: ping, ipTraceId: 77n }),
  verdict: buildVerdict({ reporter: 22, remoteIdentity: 1001, verdict: 0, flags: 1 | (2 << 3), packet: syn }),
  arp: buildCapture({ point: 4, packet: arp }),
  request: buildL7({ type: 1, message: sampleHttp }),
  answer: buildL7({ type: 2, message: { ...sampleHttp, code: 503 } }),
  name: buildL7({ type: 2, message: sampleDns, direction: TrafficDirection.egress, reporter: 11 }),
} as const;
type EventName = keyof typeof events;
const all = Object.keys(events) as EventName[];

function matching(allow: readonly FlowFilter[], deny: readonly FlowFilter[] = []): EventName[] {
  const compiled = compileFilters(allow, deny, options);
  assert.ok("matches" in compiled, "problem" in compiled ? compiled.problem : "");
  const ring = new FlowRing({ capacity: 15, instance: new Uint8Array(9) });
  ring.append(frameRecords(Object.values(events)));
  const event = new EventView(new EndpointResolver(sampleContext()));
  return all.filter((_, index) => event.load(ring, index) && compiled.matches(event));
}

const uuidOf = (index: number): string => new FlowRing({ instance: new Uint8Array(9) }).uuidOf(index);

const rows: ReadonlyArray<readonly [filter: FlowFilter, expected: readonly EventName[]]> = [
  [{}, all],
  [{ verdict: [Verdict.dropped] }, ["drop"]],
  [{ verdict: [Verdict.dropped, Verdict.unknown] }, ["drop", "arp"]],
  [{ dropReasonDesc: [133] }, ["drop"]],
  [{ eventType: [{ type: 5, matchSubType: false, subType: 0 }] }, ["verdict"]],
  [{ eventType: [{ type: 4, matchSubType: true, subType: 0 }] }, ["reply"]],
  [{ eventType: [{ type: 0, matchSubType: true, subType: 3 }] }, ["dns"]],
  [{ reply: [true] }, ["reply", "answer", "name"]],
  [{ reply: [false] }, ["drop", "dns", "verdict", "request"]],
  [{ uuid: [uuidOf(1)] }, ["reply"]],
  [{ uuid: ["nonsense"] }, []],
  [{ ipTraceId: [77n] }, ["ping"]],
  [{ interface: [{ index: 0, name: "lxc1234" }] }, ["drop"]],
  [{ interface: [{ index: 12, name: "" }] }, ["drop"]],
  [{ interface: [{ index: 0, name: "" }] }, []],
  [{ nodeName: ["n1"] }, all],
  [{ nodeName: ["default/n*"] }, all],
  [{ nodeName: ["other/n1", "n2"] }, []],
  [{ ipVersion: [IPVersion.v6] }, ["reply", "ping"]],
  [{ ipVersion: [IPVersion.none] }, ["arp"]],
  [{ protocol: ["ICMP"] }, ["ping"]],
  [{ protocol: ["icmpv4"] }, []],
  [{ protocol: ["udp", "icmpv6"] }, ["dns", "ping", "name"]],
  [{ protocol: ["dns", "icmp"] }, ["ping", "name"]],
  [{ protocol: ["kafka"] }, []],
  [{ protocol: ["HTTP"] }, ["request", "answer"]],
  [{ sourcePort: ["40000"] }, ["drop", "verdict", "request"]],
  [{ destinationPort: ["80", "53"] }, ["drop", "dns", "verdict", "request"]],
  [{ destinationPort: ["0"] }, []],
  [{ tcpFlags: [TcpFlag.syn] }, ["drop", "reply", "verdict"]],
  [{ tcpFlags: [TcpFlag.syn | TcpFlag.ack] }, ["reply"]],
  [{ tcpFlags: [TcpFlag.fin, TcpFlag.ack] }, ["reply"]],
  [{ sourceIp: ["10.0.0.1"] }, ["drop", "dns", "verdict", "request"]],
  [{ sourceIp: ["fd00::/64", "10.0.0.0/31"] }, ["drop", "reply", "dns", "ping", "verdict", "request"]],
  [{ destinationIp: ["0.0.0.0/0"] }, ["drop", "dns", "verdict", "request", "answer", "name"]],
  [{ sourceIpXlated: ["10.0.0.1"] }, ["dns"]],
  [{ trafficDirection: [TrafficDirection.ingress] }, ["verdict", "request", "answer"]],
  [{ trafficDirection: [TrafficDirection.egress] }, ["drop", "reply", "dns", "name"]],
  [{ sourceIdentity: [1001] }, ["drop", "dns", "ping", "verdict", "request"]],
  [{ destinationIdentity: [2] }, ["dns"]],
  [{ sourcePod: ["client"] }, ["drop", "dns", "ping", "verdict", "request"]],
  [{ sourcePod: ["default/cli"] }, ["drop", "dns", "ping", "verdict", "request"]],
  [{ sourcePod: ["web"] }, []],
  [{ sourcePod: ["shop/web"] }, ["reply", "answer", "name"]],
  [{ destinationPod: ["shop/"] }, ["drop", "ping", "verdict", "request"]],
  [{ destinationPod: ["/web"] }, ["drop", "ping", "verdict", "request"]],
  [{ destinationPod: ["/"] }, ["drop", "reply", "ping", "verdict", "request", "answer", "name"]],
  [{ sourceLabel: ["app=client"] }, ["drop", "dns", "ping", "verdict", "request"]],
  [{ sourceLabel: ["k8s:app in (client, web)"] }, ["drop", "reply", "dns", "ping", "verdict", "request", "answer", "name"]],
  [{ sourceLabel: ["reserved:app"] }, []],
  [{ destinationLabel: ["reserved:world"] }, ["dns"]],
  [{ destinationLabel: ["app!=web,!missing"] }, ["reply", "dns", "answer", "name"]],
  [
    { destinationLabel: ["io.kubernetes.pod.namespace notin (shop)", "app=web"] },
    ["drop", "reply", "dns", "ping", "verdict", "request", "answer", "name"],
  ],
  [{ sourceWorkload: [{ name: "web", kind: "" }] }, ["reply", "answer", "name"]],
  [{ sourceWorkload: [{ name: "", kind: "Deployment" }] }, ["drop", "reply", "dns", "ping", "verdict", "request", "answer", "name"]],
  [{ sourceWorkload: [{ name: "web", kind: "DaemonSet" }] }, []],
  [{ sourceClusterName: ["default"] }, ["drop", "reply", "dns", "ping", "verdict", "request", "answer", "name"]],
  [{ sourceClusterName: ["def*"] }, []],
  [{ destinationFqdn: ["*.Example.com."] }, ["dns"]],
  [{ destinationFqdn: ["example.com", "o*e.example.com"] }, ["dns"]],
  [{ destinationFqdn: ["one.example"] }, []],
  [{ destinationFqdn: ["onexexample.com"] }, []],
  [{ sourceFqdn: ["*"] }, []],
  [{ destinationService: ["shop/web"] }, ["drop", "verdict", "request"]],
  [{ destinationService: ["shop/"] }, ["drop", "verdict", "request"]],
  [{ destinationService: ["/web-frontend"] }, ["drop", "verdict", "request"]],
  [{ destinationService: ["web"] }, []],
  [{ sourceService: ["shop/web-front"] }, ["answer", "name"]],
  [{ httpStatusCode: ["503"] }, ["answer"]],
  [{ httpStatusCode: ["404", "5+"] }, ["answer"]],
  [{ httpStatusCode: ["50+"] }, ["answer"]],
  [{ httpStatusCode: ["4+", "51+", "500"] }, []],
  [{ httpMethod: ["get"] }, ["request", "answer"]],
  [{ httpMethod: ["PO"] }, []],
  [{ httpPath: ["/page/\\d+$"] }, ["request", "answer"]],
  [{ httpPath: ["q=x"] }, []],
  [{ httpUrl: ["q=x", "nothing"] }, ["request", "answer"]],
  [{ httpHeader: [{ key: "X-Tenant", value: "blue" }] }, ["request", "answer"]],
  [{ httpHeader: [{ key: "X-Tenant", value: "blu" }] }, []],
  [{ dnsQuery: ["^www\\."] }, ["name"]],
  [{ dnsQuery: ["^example"] }, []],
  [{ traceId: ["other", "4bf92f3577b34da6"] }, ["request", "answer", "name"]],
  [{ celExpression: ["drops"] }, ["drop"]],
  [{ verdict: [Verdict.forwarded], protocol: ["tcp"], sourcePod: ["client"] }, ["verdict", "request"]],
];

for (const [filter, expected] of rows) {
  const name = JSON.stringify(filter, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  test(`filter ${name} lets through ${expected.join(", ") || "nothing"}`, () => assert.deepEqual(matching([filter]), expected));
}

test("filters of a list are alternatives, and a denied flow stays denied", () => {
  assert.deepEqual(matching([{ protocol: ["udp"] }, { verdict: [Verdict.dropped] }]), ["drop", "dns", "name"]);
  assert.deepEqual(matching([], [{ protocol: ["tcp"] }, { ipVersion: [IPVersion.none] }]), ["dns", "ping", "name"]);
  assert.deepEqual(matching([{ protocol: ["tcp"] }], [{ reply: [true] }]), ["drop", "verdict", "request"]);
  assert.deepEqual(matching([{ protocol: ["tcp"] }], [{}]), []);
});

for (const [filter, problem] of [
  [{ sourceIp: ["10.0.0"] }, /IP "10.0.0" is neither an address nor a CIDR/],
  [{ destinationIp: ["10.0.0.0/33"] }, /neither an address nor a CIDR/],
  [{ sourcePod: [""] }, /pod filter is empty/],
  [{ destinationService: [""] }, /service filter is empty/],
  [{ sourceLabel: ["a in (b"] }, /label selector "a in \(b"/],
  [{ sourceLabel: [""] }, /label selector/],
  [{ sourceLabel: ["a=b,,c"] }, /label selector/],
  [{ protocol: ["tpc"] }, /protocol "tpc" is none of icmp, /],
  [{ sourcePort: ["http"] }, /port "http"/],
  [{ destinationPort: ["70000"] }, /port "70000"/],
  [{ nodeName: ["a/b/c"] }, /node name "a\/b\/c"/],
  [{ nodeName: [""] }, /node name ""/],
  [{ sourceFqdn: ["exa mple"] }, /FQDN "exa mple"/],
  [{ httpStatusCode: ["600"] }, /HTTP status "600"/],
  [{ httpUrl: ["a(?=b)"] }, /regular expression "a\(\?=b\)": lookahead/],
  [{ dnsQuery: ["a(?=b)"] }, /regular expression/],
  [{ dnsQuery: ["ok", "a(?=b)"] }, /regular expression "a\(\?=b\)"/],
  [{ celExpression: ["drops", "1 +"] }, /CEL expression "1 \+": no such thing/],
] as const) {
  test(`filter ${JSON.stringify(filter)} is refused, also when it would deny`, () => {
    for (const compiled of [compileFilters([filter], [], options), compileFilters([], [filter], options)]) {
      assert.ok("problem" in compiled);
      assert.match(compiled.problem, problem);
    }
  });
}
