import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeFlow, EndpointResolver, EventView } from "@cilium-ts/flow";
import { sampleContext, sampleEvents } from "@cilium-ts/flow/testing";
import { parseMetricSettings } from "@cilium-ts/flow-metrics";
import { NodeMetrics } from "./node-metrics.ts";

function setUp(settings: string) {
  const metrics = new NodeMetrics({ wanted: parseMetricSettings(settings).settings });
  const event = new EventView(new EndpointResolver(sampleContext()));
  return {
    metrics,
    see(): void {
      for (const record of sampleEvents()) {
        assert.ok(event.loadRecord(record));
        const flow = decodeFlow(event);
        if (flow !== undefined && metrics.wants()) metrics.consume(flow, event);
      }
    },
    lines: (): string[] =>
      metrics.registry
        .text()
        .split("\n")
        .filter((line) => /^hubble_(drop_total|icmp)/.test(line)),
  };
}

test("metrics are served as text, and as OpenMetrics to who asks for it", async () => {
  const { metrics, see } = setUp("httpV2:exemplars=true");
  await using server = await metrics.serve({ address: { host: "127.0.0.1", port: 0 }, openMetrics: true });
  see();
  const read = async (accept: string): Promise<[string | null, string]> => {
    const response = await fetch(`http://127.0.0.1:${server.port}/metrics`, { headers: { accept } });
    return [response.headers.get("content-type"), await response.text()];
  };
  const [type, text] = await read("text/plain");
  assert.match(type ?? "", /^text\/plain; version=0\.0\.4/);
  assert.match(text, /hubble_http_requests_total\{method="GET",protocol="HTTP\/1\.1",status="503",reporter="server"\} 1\n/);
  const [openType, openText] = await read("application/openmetrics-text;version=1.0.0");
  assert.match(openType ?? "", /^application\/openmetrics-text/);
  assert.match(openText, /# \{traceID="4bf92f3577b34da6"\} 1\n[\s\S]*# EOF\n$/);
});

test("metrics change with their file, filters included; a file that is wrong changes nothing", () => {
  const { metrics, see, lines } = setUp("");
  assert.equal(metrics.isActive, false);
  const drop = `
metrics:
- name: drop
  contextOptions: [{name: sourceContext, values: [pod]}]
  includeFilters: [{destination_pod: [shop/]}]
  excludeFilters: [{source_ip: [198.51.100.0/24]}]
`;
  assert.deepEqual(metrics.configure(drop), []);
  see();
  const counted = 'hubble_drop_total{source="default/client",reason="POLICY_DENIED",protocol="TCP"} 1';
  assert.deepEqual(lines(), [counted]);
  for (const [wrong, problem] of [
    ["metrics: [", /./],
    ["metrics: 1", /metrics is no list/],
    ["metrics: [{}]", /metrics\[0\] has no name/],
    ["metrics: [{name: dsn}]", /"dsn" is none of/],
    ["metrics: [{name: drop, contextOptions: [{name: sourceContext, values: [colour]}]}]", /"colour" is none of/],
    ["metrics: [{name: drop, includeFilters: [{source_ip: [x]}]}]", /metrics\[0\]: IP "x"/],
  ] as const)
    assert.match(metrics.configure(wrong).join(), problem, wrong);
  assert.deepEqual(lines(), [counted]);
  assert.deepEqual(metrics.configure(`${drop}- name: icmp`), []);
  see();
  assert.deepEqual(lines(), [counted.replace(/1$/, "2"), 'hubble_icmp_total{family="IPv6",type="EchoRequest"} 1']);
  assert.deepEqual(metrics.configure(""), []);
  assert.deepEqual([lines(), metrics.isActive], [[], false]);
});

test("series of a pod that has gone are kept for a minute, and longer when a pod of its name is there again", () => {
  const { metrics, see, lines } = setUp("drop:sourceContext=pod icmp:sourceContext=pod");
  see();
  metrics.podGone("default", "client", 0);
  metrics.removeGone(59_999, () => false);
  assert.equal(lines().length, 3);
  metrics.removeGone(60_000, () => true);
  assert.equal(lines().length, 3);
  metrics.podGone("default", "client", 60_000);
  metrics.removeGone(120_000, () => false);
  assert.deepEqual(lines(), ['hubble_drop_total{source="",reason="POLICY_DENY",protocol="TCP"} 1']);
});
