import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointResolver, FlowRing } from "@cilium-ts/flow";
import { buildPacket, buildTrace, frameRecords, sampleContext } from "@cilium-ts/flow/testing";
import { Namespaces } from "./namespaces.ts";

const fromWeb = buildTrace({
  timeNs: 1e9,
  point: 0,
  reason: 0,
  packet: buildPacket({ source: "10.0.0.2", destination: "1.1.1.1", udp: { sourcePort: 1, destinationPort: 2 } }),
});
const fromClient = buildTrace({
  timeNs: 2e9,
  point: 0,
  reason: 0,
  packet: buildPacket({ source: "10.0.0.1", destination: "1.1.1.1", udp: { sourcePort: 1, destinationPort: 2 } }),
});

test("a namespace is known for an hour after its last flow, also when that was overwritten", () => {
  const ring = new FlowRing({ capacity: 3, instance: new Uint8Array(9) });
  const namespaces = new Namespaces(ring, new EndpointResolver(sampleContext()));
  const names = (nowNs: number): string[] => namespaces.list(nowNs).map(({ cluster, namespace }) => `${cluster}/${namespace}`);
  ring.append(frameRecords([fromWeb]));
  namespaces.glance();
  for (let count = 0; count < 5; count += 1) ring.append(frameRecords([fromClient]));
  assert.deepEqual(names(3e9), ["default/default", "default/shop"]);
  assert.deepEqual(names(3_601.5e9), ["default/default"]);
  assert.deepEqual(names(3_603e9), []);
});
