import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { FlowSchema } from "../gen/flow/flow_pb.js";
import { type GetFlowsResponse, GetFlowsResponseSchema } from "../gen/observer/observer_pb.js";

const ignoring = { ignoreUnknownFields: true };

/**
 * A flow as an exporter or `hubble observe -o jsonpb` writes it, with or without the wrapper around it. Throws for a text that is none;
 * fields that are not known are left out.
 */
export function parseFlowLine(line: string): GetFlowsResponse {
  const value = JSON.parse(line) as JsonValue;
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject) throw new Error("no JSON object");
  if ("flow" in value || "node_status" in value || "lost_events" in value || "lostEvents" in value || "nodeStatus" in value)
    return fromJson(GetFlowsResponseSchema, value, ignoring);
  const flow = fromJson(FlowSchema, value, ignoring);
  return fromJson(
    GetFlowsResponseSchema,
    { flow: value, node_name: flow.nodeName, ...(value.time === undefined ? {} : { time: value.time }) },
    ignoring,
  );
}
