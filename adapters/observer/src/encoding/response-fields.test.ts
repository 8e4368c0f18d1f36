import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { createRandom } from "@cilium-ts/testing";
import { GetFlowsResponseSchema } from "../gen/observer/observer_pb.js";
import { GrpcError } from "../grpc/errors.ts";
import { readResponseFields } from "./response-fields.ts";

type Init = MessageInitShape<typeof GetFlowsResponseSchema>;

const encode = (init: Init): Uint8Array => toBinary(GetFlowsResponseSchema, create(GetFlowsResponseSchema, init));
const time = { seconds: 1_767_225_600n, nanos: 123_456_000 };

for (const [name, init, expected] of [
  [
    "a flow with its time",
    { responseTypes: { case: "flow", value: { summary: "x" } as object }, time, nodeName: "n" },
    [1, 1_767_225_600_123.456],
  ],
  ["a flow without", { responseTypes: { case: "flow", value: {} } }, [1, Number.NaN]],
  [
    "a node status",
    { responseTypes: { case: "nodeStatus", value: { stateChange: 1, nodeNames: ["a"] } }, time },
    [2, 1_767_225_600_123.456],
  ],
  ["lost events", { responseTypes: { case: "lostEvents", value: { numEventsLost: 2n ** 64n - 1n } } }, [3, Number.NaN]],
  ["nothing", {}, [0, Number.NaN]],
] as ReadonlyArray<readonly [string, Init, readonly [number, number]]>) {
  test(`the outermost layer tells ${name}`, () => {
    const bytes = encode(init);
    const { kind, timeMs } = readResponseFields(Buffer.concat([Buffer.alloc(5, 0xff), bytes]), 5);
    assert.deepEqual([kind, timeMs], expected);
  });
}

test("bytes that are no message are refused, and never read beyond", () => {
  const random = createRandom(7);
  const whole = encode({ responseTypes: { case: "flow", value: { nodeName: "some node" } }, time, nodeName: "n" });
  let refused = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = Uint8Array.from(whole.subarray(0, 1 + random.below(whole.length)));
    for (let flips = random.below(4); flips > 0; flips -= 1) bytes[random.below(bytes.length)] = random.below(256);
    try {
      readResponseFields(bytes, 0);
    } catch (cause) {
      assert.ok(cause instanceof GrpcError, String(cause));
      refused += 1;
    }
  }
  assert.ok(refused > 1_000 && refused < 20_000, `${refused} refused`);
});
