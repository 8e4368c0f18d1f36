import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { flowpb, frameMessage, observerpb, relaypb } from "@cilium-ts/observer";

export const NodeState = relaypb.NodeState;

/** Tells a client what became of nodes. The sender is named as the relay's host, as clients expect. */
export function nodeStatusFrame(
  state: relaypb.NodeState,
  nodeNames: readonly string[],
  message: string,
  sender: { nodeName: string; nowMs: number },
): Uint8Array {
  return frameOf(
    { case: "nodeStatus", value: create(relaypb.NodeStatusEventSchema, { stateChange: state, nodeNames: [...nodeNames], message }) },
    sender,
  );
}

/** Tells a client how much it asked for and does not get. */
export function lostFrame(count: number, sender: { nodeName: string; nowMs: number }): Uint8Array {
  const source = flowpb.LostEventSource.HUBBLE_RING_BUFFER;
  return frameOf({ case: "lostEvents", value: create(flowpb.LostEventSchema, { source, numEventsLost: BigInt(count) }) }, sender);
}

function frameOf(
  responseTypes: observerpb.GetFlowsResponse["responseTypes"],
  { nodeName, nowMs }: { nodeName: string; nowMs: number },
): Uint8Array {
  const response = create(observerpb.GetFlowsResponseSchema, { responseTypes, nodeName, time: timestampFromMs(nowMs) });
  return frameMessage(toBinary(observerpb.GetFlowsResponseSchema, response));
}
