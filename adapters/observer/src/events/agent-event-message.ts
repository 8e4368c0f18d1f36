import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { AgentEvent, FlowTime } from "@cilium-ts/flow";
import { type AgentEvent as AgentEventMessage, AgentEventSchema, AgentEventType } from "../gen/flow/flow_pb.js";

type Init = MessageInitShape<typeof AgentEventSchema>;

/** Numbers here are not those by which the monitor knew the same events. */
export function agentEventMessage(event: AgentEvent, time: FlowTime): AgentEventMessage {
  return create(AgentEventSchema, initOf(event, time));
}

function initOf(event: AgentEvent, { seconds, nanos }: FlowTime): Init {
  switch (event.kind) {
    case "agent-started":
      return {
        type: AgentEventType.AGENT_STARTED,
        notification: { case: "agentStart", value: { time: { seconds: BigInt(seconds), nanos } } },
      };
    case "other": {
      const { type, message: notification } = event;
      return { type: AgentEventType.AGENT_EVENT_UNKNOWN, notification: { case: "unknown", value: { type, notification } } };
    }
    case "policy-updated":
    case "policy-deleted": {
      const type = event.kind === "policy-updated" ? AgentEventType.POLICY_UPDATED : AgentEventType.POLICY_DELETED;
      const { labels, revision, ruleCount } = event;
      const value = { labels: [...labels], revision: BigInt(revision), ruleCount: BigInt(ruleCount) };
      return { type, notification: { case: "policyUpdate", value } };
    }
    case "endpoint-regenerated": {
      const type = event.error === "" ? AgentEventType.ENDPOINT_REGENERATE_SUCCESS : AgentEventType.ENDPOINT_REGENERATE_FAILURE;
      const value = { id: BigInt(event.id), labels: [...event.labels], error: event.error };
      return { type, notification: { case: "endpointRegenerate", value } };
    }
    case "endpoint-created":
    case "endpoint-deleted": {
      const type = event.kind === "endpoint-created" ? AgentEventType.ENDPOINT_CREATED : AgentEventType.ENDPOINT_DELETED;
      const { podName, namespace } = event;
      return {
        type,
        notification: { case: "endpointUpdate", value: { id: BigInt(event.id), labels: [...event.labels], podName, namespace } },
      };
    }
    case "ipcache-upserted":
    case "ipcache-deleted": {
      const type = event.kind === "ipcache-upserted" ? AgentEventType.IPCACHE_UPSERTED : AgentEventType.IPCACHE_DELETED;
      const { cidr, identity, oldIdentity, hostIp, oldHostIp } = event;
      const value = { cidr, identity, hostIp, oldHostIp, ...(oldIdentity === undefined ? {} : { oldIdentity }) };
      return { type, notification: { case: "ipcacheUpdate", value } };
    }
    case "service-upserted": {
      const { name, namespace, address: ip, port } = event;
      const value = { name, namespace, frontendAddress: { ip, port } };
      return { type: AgentEventType.SERVICE_UPSERTED, notification: { case: "serviceUpsert", value } };
    }
  }
}
