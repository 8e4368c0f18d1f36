import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeMachine, openFakeKernel } from "@cilium-ts/kernel/testing";
import { DatapathCounters } from "./datapath-counters.ts";
import { dropReason, encodeMetricsKey, encodeMetricsValue, metricsDirection } from "./gen/index.ts";
import { datapathDefaults, openDatapath } from "./index.ts";
import { emptyDatapathObjects, fakeDatapathObjects } from "./testing.ts";

function open() {
  const kernel = openFakeKernel({ machine: new FakeMachine(), objects: fakeDatapathObjects() });
  const routers = { routerIPv4: Uint8Array.of(10, 0, 0, 1), routerIPv6: new Uint8Array(16) };
  return { kernel, datapath: openDatapath(kernel, { ...datapathDefaults, objects: emptyDatapathObjects(), bpfRoot: "/bpf", ...routers }) };
}

test("drops are added up over CPUs and lines, by reason and direction", () => {
  const { kernel, datapath } = open();
  const onEachCpu = (count: bigint): Uint8Array =>
    Buffer.concat(Array.from({ length: kernel.possibleCpuCount }, () => encodeMetricsValue({ count, bytes: count * 100n })));
  for (const line of [7, 8])
    datapath.maps.metrics.update(
      encodeMetricsKey({ reason: dropReason.policyDenied, direction: metricsDirection.ingress, line, file: 1 }),
      onEachCpu(2n),
    );
  datapath.maps.forwarded.update(Uint8Array.of(metricsDirection.egress, 0, 0, 0), onEachCpu(3n));
  const cpus = kernel.possibleCpuCount;
  assert.deepEqual(datapath.counters.traffic(), [
    { reason: dropReason.policyDenied, direction: metricsDirection.ingress, packets: 4 * cpus, bytes: 400 * cpus },
    { reason: 0, direction: metricsDirection.egress, packets: 3 * cpus, bytes: 300 * cpus },
  ]);
});

test("writes to maps are counted, and those that the kernel refused apart", () => {
  const { kernel, datapath } = open();
  datapath.ipcache.upsert({ prefix: "10.0.0.1/32", identity: 5 });
  datapath.ipcache.delete("10.0.0.1/32");
  const spec = { type: "hash", keySizeBytes: 4, valueSizeBytes: 4, maxEntries: 1 } as const;
  const counters = new DatapathCounters(datapath.maps);
  const map = counters.counted(kernel.createMap({ name: "small", ...spec }));
  map.update(Uint8Array.of(1, 0, 0, 0), new Uint8Array(4));
  assert.throws(() => map.update(Uint8Array.of(2, 0, 0, 0), new Uint8Array(4)));
  assert.deepEqual(map.lookup(Uint8Array.of(1, 0, 0, 0)), new Uint8Array(4), "reads go through");
  assert.deepEqual(datapath.counters.operations(), [
    { map: "ipcache", operation: "update", failed: false, count: 1 },
    { map: "ipcache", operation: "delete", failed: false, count: 1 },
  ]);
  assert.deepEqual(counters.operations(), [
    { map: "small", operation: "update", failed: false, count: 1 },
    { map: "small", operation: "update", failed: true, count: 1 },
  ]);
});
