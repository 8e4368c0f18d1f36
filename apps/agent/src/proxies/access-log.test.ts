import assert from "node:assert/strict";
import { test } from "node:test";
import { type L7Record, L7Type, TrafficDirection, Verdict } from "@cilium-ts/flow";
import { AccessLog, countedPortsMax, recordsPerSecondMax } from "./access-log.ts";

function record(change: Partial<L7Record> = {}, type: number = L7Type.request): L7Record {
  const message = {
    protocol: "http",
    code: type === L7Type.response ? 200 : 0,
    method: "GET",
    url: "/",
    version: "HTTP/1.1",
    headers: [],
  } as const;
  return {
    timeNs: 5e9,
    reporter: 7,
    client: { address: Uint8Array.of(10, 0, 0, 5), port: 4000, identity: 1001, endpointId: 7 },
    server: { address: Uint8Array.of(10, 0, 0, 9), port: 80, identity: 1002, endpointId: 0 },
    transport: "TCP",
    verdict: Verdict.forwarded,
    direction: TrafficDirection.egress,
    proxyPort: 10_000,
    layer7: { type, latencyNs: 0n, traceId: "", message },
    ...change,
  };
}

function logWith() {
  let nowNs = 5e9;
  const lost: number[] = [];
  const written: Uint8Array[] = [];
  const ring = {
    appendRecord: (bytes: Uint8Array) => void written.push(bytes),
    appendLost: (_: number, count: number) => void lost.push(count),
  };
  const later = (seconds: number): void => {
    nowNs += seconds * 1e9;
  };
  return { log: new AccessLog({ ring, nowNs: () => nowNs }), lost, written, later };
}

test("what comes beyond the limit of a second is counted, and noted as lost once", () => {
  const { log, lost, written, later } = logWith();
  for (let count = 0; count < recordsPerSecondMax + 3; count += 1) log.write(record());
  assert.deepEqual([written.length, log.refused, lost], [recordsPerSecondMax, 3, []]);
  later(1);
  log.write(record());
  assert.deepEqual([written.length, log.refused, lost], [recordsPerSecondMax + 1, 3, [3]]);
  log.settle();
  assert.deepEqual(lost, [3]);
});

test("losses that no record follows are noted all the same", () => {
  const { log, lost } = logWith();
  for (let count = 0; count < recordsPerSecondMax + 2; count += 1) log.write(record());
  log.settle();
  assert.deepEqual(lost, [2]);
});

test("messages are counted by endpoint, protocol, port and what became of them", () => {
  const { log } = logWith();
  log.write(record());
  log.write(record({ verdict: Verdict.dropped }));
  log.write(record({ verdict: Verdict.error }));
  log.write(record({}, L7Type.response));
  log.write(record({ reporter: 8 }));
  assert.deepEqual(log.countsOf(7), [
    {
      ...{ protocol: "http", port: 80, direction: "egress", proxyPort: 10_000 },
      requests: { received: 3, forwarded: 1, denied: 1, error: 1 },
      responses: { received: 1, forwarded: 1, denied: 0, error: 0 },
    },
  ]);
  log.forget(7);
  assert.deepEqual([log.countsOf(7), log.countsOf(8).length], [[], 1]);
});

test("an endpoint has so many ports counted and no more, and all of them are flows", () => {
  const { log, written } = logWith();
  for (let port = 1; port <= countedPortsMax + 5; port += 1) log.write(record({ server: { ...record().server, port } }));
  assert.deepEqual([log.countsOf(7).length, written.length], [countedPortsMax, countedPortsMax + 5]);
});
