import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics } from "./metrics.ts";

test("counters, gauges and histograms are written as Prometheus reads them", () => {
  const metrics = new Metrics();
  const runs = metrics.counter("runs_total", "How often it ran.");
  runs.increase();
  runs.increase({ outcome: "fail", kind: 'a"b\\c\nd' }, 2);
  runs.increase({ kind: 'a"b\\c\nd', outcome: "fail" });
  metrics.gauge("nodes", "Nodes\nin all.").set(3);
  const latency = metrics.histogram("latency_seconds", "How long.", [0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 7]) latency.observe(value, { run: "x" });
  assert.equal(
    metrics.text(),
    `# HELP runs_total How often it ran.
# TYPE runs_total counter
runs_total 1
runs_total{kind="a\\"b\\\\c\\nd",outcome="fail"} 3
# HELP nodes Nodes\\nin all.
# TYPE nodes gauge
nodes 3
# HELP latency_seconds How long.
# TYPE latency_seconds histogram
latency_seconds_bucket{run="x",le="0.1"} 2
latency_seconds_bucket{run="x",le="1"} 3
latency_seconds_bucket{run="x",le="+Inf"} 4
latency_seconds_sum{run="x"} 7.65
latency_seconds_count{run="x"} 4
`,
  );
  assert.deepEqual(metrics.samples()[2], { name: "nodes", labels: {}, value: 3 });
});

test("a metric whose labels never end stays bounded, and what is left out is counted", () => {
  const metrics = new Metrics();
  const seen = metrics.counter("seen_total", "Seen.");
  for (let index = 0; index < 1_005; index += 1) seen.increase({ name: String(index) });
  seen.increase({ name: "7" });
  assert.equal(metrics.samples().length, 1_001);
  assert.match(metrics.text(), /seen_total\{name="7"\} 2\n/);
  assert.match(metrics.text(), /metrics_series_dropped_total 5\n$/);
});

test("names that Prometheus would refuse, a second metric of a name, and a counter that shrinks are mistakes", () => {
  const metrics = new Metrics();
  assert.throws(() => metrics.gauge("no-dashes", ""), /"no-dashes" is no name/);
  const counter = metrics.counter("c", "");
  assert.throws(() => metrics.gauge("c", ""), /is there already/);
  assert.throws(() => counter.increase({ "a-b": "" }), /"a-b" is no name of a label/);
  assert.throws(() => counter.increase({}, -1), /cannot shrink/);
});

test("metrics with fixed labels are counted by values, forgotten by values, and bounded", () => {
  const metrics = new Metrics();
  const flows = metrics.labelled("flows_total", "Flows.", ["pod", "verdict"], { seriesMax: 2 });
  flows.increase(["a", "FORWARDED"]);
  flows.increase(["a", "FORWARDED"], 2);
  flows.increase(['b"', "DROPPED"]);
  flows.increase(["c", "DROPPED"]);
  const seconds = metrics.labelled("seconds", "Time.", [], { seriesMax: 1, bounds: [1] });
  seconds.observe([], 0.5);
  seconds.observe([], 2);
  assert.equal(
    metrics.text(),
    `# HELP flows_total Flows.
# TYPE flows_total counter
flows_total{pod="a",verdict="FORWARDED"} 3
flows_total{pod="b\\"",verdict="DROPPED"} 1
# HELP seconds Time.
# TYPE seconds histogram
seconds_bucket{le="1"} 1
seconds_bucket{le="+Inf"} 2
seconds_sum 2.5
seconds_count 2
# TYPE metrics_series_dropped_total counter
metrics_series_dropped_total 1
`,
  );
  assert.deepEqual([flows.remove(([pod]) => pod === "a"), flows.size], [1, 1]);
  flows.increase(["c", "DROPPED"]);
  assert.deepEqual(metrics.samples()[1], { name: "flows_total", labels: { pod: "c", verdict: "DROPPED" }, value: 1 });
  metrics.remove("flows_total");
  assert.doesNotMatch(metrics.text(), /flows_total/);
});

test("OpenMetrics has exemplars, families without their ending, and an end", () => {
  const metrics = new Metrics();
  metrics.labelled("http_requests_total", "Requests.", ["code"], { seriesMax: 9 }).increase(["200"], 1, { traceID: "4bf9" });
  const seconds = metrics.labelled("http_seconds", "Time.", ["code"], { seriesMax: 9, bounds: [1, 5] });
  seconds.observe(["200"], 3, { traceID: "4bf9" });
  assert.equal(
    metrics.openMetricsText(),
    `# HELP http_requests Requests.
# TYPE http_requests counter
http_requests_total{code="200"} 1 # {traceID="4bf9"} 1
# HELP http_seconds Time.
# TYPE http_seconds histogram
http_seconds_bucket{code="200",le="1"} 0
http_seconds_bucket{code="200",le="5"} 1 # {traceID="4bf9"} 3
http_seconds_bucket{code="200",le="+Inf"} 1
http_seconds_sum{code="200"} 3
http_seconds_count{code="200"} 1
# EOF
`,
  );
});
