import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EndpointResolver, FlowRing } from "@cilium-ts/flow";
import { frameRecords, sampleContext, sampleEvents } from "@cilium-ts/flow/testing";
import { followFlows } from "@cilium-ts/observer";
import { systemClock } from "@cilium-ts/std";
import { eventually } from "@cilium-ts/testing";
import { parseExporterConfigs } from "./exporter-config.ts";
import { Exporters } from "./exporters.ts";

/** A node whose flows are exported as the YAML says. */
async function setUp() {
  const folder = mkdtempSync(join(tmpdir(), "exporters-"));
  const ring = new FlowRing({ capacity: 255, instance: new Uint8Array(9) });
  const problems: string[] = [];
  const exporters = new Exporters({
    emitter: { name: "Hubble", version: "0.1.0" },
    nodeName: "default/n1",
    clock: systemClock,
    onProblem: (message) => void problems.push(message),
  });
  const stop = new AbortController();
  const resolver = new EndpointResolver(sampleContext());
  const following = followFlows({ ring, resolver, nowNs: () => 1e9, consumers: () => exporters.active() }, stop.signal);
  await eventually(() => assert.equal(ring.listenerCount, 1));
  return {
    exporters,
    problems,
    apply(yaml: string) {
      const parsed = parseExporterConfigs(yaml.replaceAll("DIR", folder));
      assert.ok("configs" in parsed, "problems" in parsed ? parsed.problems.join() : "");
      return exporters.apply(parsed.configs);
    },
    async see() {
      ring.append(frameRecords(sampleEvents()));
      await eventually(() => assert.equal(ring.listenerCount, 1));
    },
    loseFive: () => ring.appendLost(1, 5, 1e9),
    lines: (name: string) =>
      readFileSync(join(folder, name), "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await following;
      await exporters[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

test("flows that pass the filters are lines of JSON with the fields of the mask, and losses are lines too", async () => {
  await using node = await setUp();
  node.apply(`
flowLogs:
- name: drops
  filePath: DIR/drops.log
  fieldMask: [time, verdict, source.pod_name]
  includeFilters:
  - verdict: [DROPPED]
  excludeFilters:
  - drop_reason_desc: [POLICY_DENY]
- name: all
  filePath: DIR/all.log
`);
  await node.see();
  node.loseFive();
  await eventually(() => assert.equal(node.lines("all.log").length, 13));
  assert.deepEqual(node.lines("drops.log"), [
    { flow: { time: "2026-01-01T00:00:02Z", verdict: "DROPPED", source: { pod_name: "client" } }, time: "2026-01-01T00:00:02Z" },
    {
      lost_events: { source: "PERF_EVENT_RING_BUFFER", num_events_lost: "5" },
      node_name: "default/n1",
      time: "2026-01-01T00:00:01Z",
    },
  ]);
});

test("settings change while it runs: what stays the same goes on, the rest ends or begins", async () => {
  await using node = await setUp();
  const one = "- {name: one, filePath: DIR/one.log}";
  assert.deepEqual(node.apply(`flowLogs:\n${one}\n- {name: two, filePath: DIR/two.log}`), { added: 2, updated: 0, removed: 0 });
  const [kept] = node.exporters.active();
  const next = `flowLogs:\n${one}\n- {name: two, filePath: DIR/two.log, fieldMask: [verdict]}\n- {name: three, filePath: DIR/three.log}`;
  assert.deepEqual(node.apply(next), { added: 1, updated: 1, removed: 0 });
  assert.equal(node.exporters.active()[0], kept);
  assert.deepEqual(node.apply("flowLogs: []"), { added: 0, updated: 0, removed: 3 });
  await node.see();
  assert.deepEqual(node.exporters.active(), []);
});

test("an exporter whose time is over is not asked", async () => {
  await using node = await setUp();
  node.apply("flowLogs: [{name: past, filePath: DIR/past.log, end: 2020-01-01T00:00:00Z}]".replace(/end: (\S+)\}/, 'end: "$1"}'));
  assert.deepEqual(node.exporters.active(), []);
});

test("flows that are equal in the named fields are told once, with their number", async () => {
  await using node = await setUp();
  node.apply(`
flowLogs:
- name: pairs
  filePath: DIR/pairs.log
  fieldMask: [source.pod_name, destination.pod_name, verdict]
  fieldAggregate: [source.pod_name, destination.pod_name, verdict]
  aggregationInterval: 1h
  includeFilters: [{event_type: [{type: 1}, {type: 4}]}]
`);
  await node.see();
  await node.see();
  await node.exporters[Symbol.asyncDispose]();
  assert.deepEqual(
    node.lines("pairs.log").map(({ flow }) => [flow.source?.pod_name, flow.destination?.pod_name, flow.verdict, flow.aggregate]),
    [
      ["client", "web", "FORWARDED", { egress_flow_count: 2, unknown_direction_flow_count: 2 }],
      ["client", "web", "DROPPED", { egress_flow_count: 2 }],
      ["web", "client", "FORWARDED", { egress_flow_count: 2 }],
      ["client", undefined, "FORWARDED", { egress_flow_count: 2 }],
      [undefined, "web", "DROPPED", { ingress_flow_count: 2 }],
    ],
  );
});

for (const [yaml, problem] of [
  ["flowLogs: [", /./],
  ["[]", /there is no list flowLogs/],
  ["flowLogs: [1]", /flowLogs\[0\]: it is no mapping/],
  ["flowLogs: [{filePath: /a}]", /flowLogs\[0\]: it has no name/],
  ["flowLogs: [{name: a}]", /flowLogs\[0\]: a has no filePath/],
  ["flowLogs: [{name: a, filePath: /a, colour: red}]", /there is no field "colour"; there are name, /],
  ["flowLogs: [{name: a, filePath: /a, fileMaxBackups: -1}]", /fileMaxBackups -1 is not what it should be: a whole number/],
  ["flowLogs: [{name: a, filePath: /a, fieldMask: [nonsense]}]", /no field "nonsense" in flow\.Flow/],
  ["flowLogs: [{name: a, filePath: /a, includeFilters: [{source_ip: [x]}]}]", /IP "x" is neither/],
  ["flowLogs: [{name: a, filePath: /a, excludeFilters: [{nonsense: 1}]}]", /is no filter: .*nonsense/],
  ["flowLogs: [{name: a, filePath: /a, end: tomorrow}]", /end "tomorrow" is no time/],
  ["flowLogs: [{name: a, filePath: /a, fieldAggregate: [verdict]}]", /aggregationInterval 0 is no time from 1s to 1h/],
  ["flowLogs: [{name: a, filePath: /a, otlpCaFile: /ca}]", /otlpCaFile is for collectors, and \/a is none/],
  ["flowLogs: [{name: a, filePath: 'grpc://c:4317', otlpCaFile: /ca}]", /plain text, for which certificates are of no use/],
  ["flowLogs: [{name: a, filePath: 'grpcs://c:4317', otlpCertFile: /c}]", /otlpCertFile and otlpKeyFile are given both, or none/],
  ["flowLogs: [{name: a, filePath: 'grpc://c:99999'}]", /is no address such as grpc:/],
  ["flowLogs: [{name: a, filePath: 'grpc://c:4317', otlpHeaders: [a b=c]}]", /a header is NAME=VALUE, not "a b=c"/],
  ["flowLogs: [{name: a, filePath: 'grpc://c:4317', otlpHeaders: [TE=x]}]", /otlpHeaders: TE is the protocol's own/],
  ["flowLogs: [{name: a, filePath: /a}, {name: a, filePath: /b}]", /a is there twice/],
  ["flowLogs: [{name: a, filePath: /a}, {name: b, filePath: /a}]", /two write to \/a/],
] as const) {
  test(`settings are refused: ${yaml}`, () => {
    const parsed = parseExporterConfigs(yaml);
    assert.ok("problems" in parsed);
    assert.match(parsed.problems.join("\n"), problem);
  });
}
