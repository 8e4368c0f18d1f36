import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, type JsonValue, toJson } from "@bufbuild/protobuf";
import { createRandom } from "@cilium-ts/testing";
import { FieldMask } from "../filters/field-mask.ts";
import { ExportEventSchema, GetFlowsResponseSchema } from "../gen/observer/observer_pb.js";
import { FlowEncoder } from "./flow-encoder.ts";
import { FlowJson } from "./flow-json.ts";
import { randomFlow } from "./random-flow.ts";

const emitter = { name: "Hubble", version: "0.1.0" };

/** What the library makes of the bytes that a client would get. */
function libraryJson(framed: Uint8Array): JsonValue {
  const { responseTypes, nodeName, time } = fromBinary(GetFlowsResponseSchema, framed.subarray(5));
  assert.ok(responseTypes.case === "flow" || responseTypes.case === "lostEvents");
  const event = create(ExportEventSchema, { responseTypes, nodeName, ...(time === undefined ? {} : { time }) });
  return toJson(ExportEventSchema, event, { useProtoFieldName: true });
}

for (const paths of [
  [],
  ["time", "verdict", "source.pod_name", "destination.labels", "l4.TCP.flags.SYN"],
  ["l7.http.headers", "l7.dns.query", "l7.type", "trace_context", "tunnel.IP.source", "is_reply", "event_type.type"],
  [
    "node_name",
    "source",
    "interface.name",
    "file",
    "ip_trace_id",
    "emitter.name",
    "destination_service",
    "policy_log",
    "ingress_denied_by",
  ],
]) {
  test(`JSON by hand is what the library writes: ${paths.join(",") || "everything"}`, () => {
    const parsed = FieldMask.parse(paths);
    assert.ok("mask" in parsed);
    const options = { mask: parsed.mask, emitter };
    const encoder = new FlowEncoder(options);
    const json = new FlowJson(options);
    for (let seed = 0; seed < 1_000; seed += 1) {
      const flow = randomFlow(createRandom(seed));
      encoder.addFlow(flow);
      const line = json.flowLine(flow);
      assert.ok(!line.includes("\n"));
      assert.deepEqual(JSON.parse(line), libraryJson(encoder.take()), `seed ${seed}`);
    }
  });
}

test("losses are lines too", () => {
  const time = { seconds: 1_767_225_600, nanos: 500_000_000 };
  const encoder = new FlowEncoder({ emitter });
  encoder.addLost({ source: 3, count: 2 ** 40, nodeName: "default/n1", time });
  const line = new FlowJson({ emitter }).lostLine(3, 2 ** 40, "default/n1", time);
  assert.deepEqual(JSON.parse(line), libraryJson(encoder.take()));
  assert.match(line, /"time":"2026-01-01T00:00:00\.500Z"/);
});
