import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeFlow, EndpointResolver, EventView } from "@cilium-ts/flow";
import { buildL7, buildTrace, buildVerdict, sampleContext, sampleDns, sampleEvents, sampleKafka } from "@cilium-ts/flow/testing";
import { Metrics } from "@cilium-ts/metrics";
import { FlowMetrics } from "./flow-metrics.ts";
import { parseMetricSettings } from "./metric-settings.ts";

const dropReasonName = (code: number): string => (code === 181 ? "POLICY_DENY" : "POLICY_DENIED");

function createMetrics(
  settings: string,
  registry = new Metrics(),
): { readonly registry: Metrics; readonly metrics: FlowMetrics<EventView> } {
  const metrics = new FlowMetrics<EventView>({ registry, dropReasonName });
  apply(metrics, settings);
  return { registry, metrics };
}

function apply(metrics: FlowMetrics<EventView>, text: string): void {
  const { settings, problems } = parseMetricSettings(text);
  assert.deepEqual(problems, []);
  metrics.apply(settings.map((setting) => ({ setting, matches: undefined, key: JSON.stringify([...setting.options]) })));
}

function consume(metrics: FlowMetrics<EventView>, records: readonly Uint8Array[]): void {
  const event = new EventView(new EndpointResolver(sampleContext()));
  for (const record of records) {
    assert.ok(event.loadRecord(record));
    const flow = decodeFlow(event);
    if (flow !== undefined) metrics.consume(flow, event, 60);
  }
}

/** The lines with values, without `hubble_`, sorted. */
function lines(registry: Metrics): string[] {
  return registry
    .text()
    .split("\n")
    .filter((line) => line.startsWith("hubble_") && !/_bucket/.test(line))
    .map((line) => line.replace("hubble_", ""))
    .sort();
}

const others = [
  buildVerdict({ reporter: 22, remoteIdentity: 1001, verdict: -133, flags: 1 }),

  buildL7({ type: 1, message: sampleDns }),
  buildL7({ type: 1, message: sampleKafka }),
  buildL7({ type: 2, message: sampleKafka }),
];

for (const [settings, expected] of [
  [
    "flow",
    [
      'flows_processed_total{protocol="DNS",type="L7",subtype="DNS",verdict="FORWARDED"} 2',
      'flows_processed_total{protocol="HTTP",type="L7",subtype="HTTP",verdict="FORWARDED"} 2',
      'flows_processed_total{protocol="ICMPv6",type="Trace",subtype="from-endpoint",verdict="FORWARDED"} 1',
      'flows_processed_total{protocol="Kafka",type="L7",subtype="Kafka",verdict="FORWARDED"} 2',
      'flows_processed_total{protocol="TCP",type="Capture",subtype="",verdict="VERDICT_UNKNOWN"} 1',
      'flows_processed_total{protocol="TCP",type="Drop",subtype="",verdict="DROPPED"} 2',
      'flows_processed_total{protocol="TCP",type="PolicyVerdict",subtype="",verdict="FORWARDED"} 1',
      'flows_processed_total{protocol="TCP",type="Trace",subtype="to-endpoint",verdict="FORWARDED"} 2',
      'flows_processed_total{protocol="TCP",type="TraceSock",subtype="",verdict="TRACED"} 1',
      'flows_processed_total{protocol="UDP",type="Trace",subtype="to-network",verdict="FORWARDED"} 1',
      'flows_processed_total{protocol="Unknown",type="PolicyVerdict",subtype="",verdict="DROPPED"} 1',
    ],
  ],
  [
    "drop:sourceContext=pod|reserved-identity;destinationContext=workload-name",
    [
      'drop_bytes_total{source="default/client",destination="web",reason="POLICY_DENIED",protocol="TCP"} 60',
      'drop_bytes_total{source="reserved:world",destination="web",reason="POLICY_DENY",protocol="TCP"} 60',
      'drop_total{source="default/client",destination="web",reason="POLICY_DENIED",protocol="TCP"} 1',
      'drop_total{source="reserved:world",destination="web",reason="POLICY_DENY",protocol="TCP"} 1',
    ],
  ],
  ["tcp", ['tcp_flags_total{flag="SYN",family="IPv4"} 2', 'tcp_flags_total{flag="SYN-ACK",family="IPv6"} 1']],
  [
    "icmp:labelsContext=source_pod,destination_namespace",
    ['icmp_total{source_pod="client",destination_namespace="shop",family="IPv6",type="EchoRequest"} 1'],
  ],
  ["port-distribution", ['port_distribution_total{protocol="TCP",port="80"} 2', 'port_distribution_total{protocol="UDP",port="53"} 1']],
  [
    "policy:sourceEgressContext=app;sourceIngressContext=namespace",
    [
      'policy_verdicts_total{source="",direction="ingress",match="none",action="dropped"} 1',
      'policy_verdicts_total{source="default",direction="ingress",match="l3-l4",action="forwarded"} 1',
      'policy_verdicts_total{source="default",direction="ingress",match="l7/dns",action="forwarded"} 1',
      'policy_verdicts_total{source="default",direction="ingress",match="l7/http",action="forwarded"} 1',
      'policy_verdicts_total{source="default",direction="ingress",match="l7/kafka",action="forwarded"} 1',
    ],
  ],
  [
    "flows-to-world:port;destinationContext=dns|ip",
    ['flows_to_world_total{destination="one.example.com",protocol="UDP",verdict="FORWARDED",port="53"} 1'],
  ],
  ["flows-to-world:syn-only", []],
  [
    "dns:query;ignoreAAAA;sourceContext=pod-name",
    [
      'dns_queries_total{source="client",query="www.example.com.",rcode="",qtypes="A",ips_returned="0"} 1',
      'dns_response_types_total{source="client",query="www.example.com.",type="A",qtypes="A"} 1',
      'dns_responses_total{source="client",query="www.example.com.",rcode="No Error",qtypes="A",ips_returned="1"} 1',
    ],
  ],
  [
    "httpV2:labelsContext=source_workload,destination_app,traffic_direction",
    [
      'http_request_duration_seconds_count{source_workload="client",destination_app="web",traffic_direction="ingress",method="GET",reporter="server"} 1',
      'http_request_duration_seconds_sum{source_workload="client",destination_app="web",traffic_direction="ingress",method="GET",reporter="server"} 0.005',
      'http_requests_total{source_workload="client",destination_app="web",traffic_direction="ingress",method="GET",protocol="HTTP/1.1",status="503",reporter="server"} 1',
    ],
  ],
  [
    "http",
    [
      'http_request_duration_seconds_count{method="GET",reporter="server"} 1',
      'http_request_duration_seconds_sum{method="GET",reporter="server"} 0.005',
      'http_requests_total{method="GET",protocol="HTTP/1.1",reporter="server"} 1',
      'http_responses_total{method="GET",protocol="HTTP/1.1",status="503",reporter="server"} 1',
    ],
  ],
  [
    "kafka",
    [
      'kafka_request_duration_seconds_count{topic="orders",api_key="produce",reporter="server"} 1',
      'kafka_request_duration_seconds_sum{topic="orders",api_key="produce",reporter="server"} 0.005',
      'kafka_requests_total{topic="orders",api_key="produce",error_code="-1",reporter="server"} 1',
    ],
  ],
] as const) {
  test(`metric ${settings}`, () => {
    const { registry, metrics } = createMetrics(settings);
    consume(metrics, [...sampleEvents().slice(0, 12), ...others]);
    assert.deepEqual(lines(registry), expected);
  });
}

test("exemplars name the trace, where they are asked for", () => {
  for (const [settings, expected] of [
    ["httpV2:exemplars=true", /http_requests_total\{.*\} 1 # \{traceID="4bf92f3577b34da6"\} 1\n/],
    ["httpV2:exemplars=false", /http_requests_total\{[^#]*\} 1\n/],
  ] as const) {
    const { registry, metrics } = createMetrics(settings);
    consume(metrics, sampleEvents());
    assert.match(registry.openMetricsText(), expected);
  }
});

test("a pod that has gone leaves no series, and others of its name stay", () => {
  const { registry, metrics } = createMetrics(
    "drop:sourceContext=pod tcp:labelsContext=source_pod,source_namespace icmp:sourceContext=namespace",
  );
  consume(metrics, sampleEvents());
  assert.equal(metrics.removePod("other", "client"), 0);
  assert.equal(metrics.removePod("default", "client"), 3);
  assert.deepEqual(lines(registry), [
    'drop_bytes_total{source="",reason="POLICY_DENY",protocol="TCP"} 60',
    'drop_total{source="",reason="POLICY_DENY",protocol="TCP"} 1',
    'icmp_total{source="default",family="IPv6",type="EchoRequest"} 1',
    'tcp_flags_total{source_pod="web",source_namespace="shop",flag="SYN-ACK",family="IPv6"} 1',
  ]);
});

test("settings are changed while it counts: what stays the same keeps its values", () => {
  const { registry, metrics } = createMetrics("drop icmp");
  consume(metrics, sampleEvents());
  apply(metrics, "drop icmp:sourceContext=pod");
  assert.deepEqual(lines(registry).length, 4);
  consume(metrics, sampleEvents());
  assert.deepEqual(
    lines(registry).filter((line) => line.startsWith("icmp")),
    ['icmp_total{source="default/client",family="IPv6",type="EchoRequest"} 1'],
  );
  assert.ok(lines(registry).includes('drop_total{reason="POLICY_DENIED",protocol="TCP"} 2'));
  apply(metrics, "");
  assert.equal(metrics.isActive, false);
});

test("series are bounded, what finds no room is counted, and losses are counted by their source", () => {
  const { registry, metrics } = createMetrics("port-distribution:sourceContext=ip");
  const record = buildTrace({ point: 0, reason: 0, packet: new Uint8Array(0) });
  const event = new EventView(new EndpointResolver(sampleContext()));
  assert.ok(event.loadRecord(record));
  const flow = decodeFlow(event);
  assert.ok(flow !== undefined);
  for (let port = 1; port <= 10_005; port += 1)
    metrics.consume({ ...flow, l4: { protocol: "UDP", sourcePort: 1, destinationPort: port } }, event, 0);
  metrics.lost(1, 7);
  metrics.lost(3, 2);
  assert.match(registry.text(), /metrics_series_dropped_total 5\n/);
  assert.match(registry.text(), /hubble_lost_events_total\{source="PERF_EVENT_RING_BUFFER"\} 7\n/);
  assert.match(registry.text(), /hubble_lost_events_total\{source="HUBBLE_RING_BUFFER"\} 2\n/);
});

for (const [text, problem] of [
  ["dsn", /metric "dsn" is none of dns, drop, /],
  ["drop:sourceContext=pods", /metric drop: sourceContext "pods" is none of identity, /],
  ["drop:labelsContext=source_colour", /labelsContext "source_colour" is none of source_ip, /],
  ["drop:query", /metric drop: there is no option "query"; there are /],
  ["http httpV2", /exclude each other/],
  ["drop drop:sourceContext=pod", /named twice/],
] as const) {
  test(`metrics ${text} are refused`, () => assert.match(parseMetricSettings(text).problems.join(), problem));
}
